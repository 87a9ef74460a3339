"""The words that names of secrets are made of, and names that belong together.

Password words are those of the languages with most speakers (Ethnologue), and of some more.
"""

from __future__ import annotations

from audit_emit._redaction.alphabet import plain_letters

__all__ = [
    "ANSWERS",
    "APPROLE",
    "ARGUMENTS",
    "BY_VALUE",
    "CHANGES",
    "CODE_OF",
    "COLUMNS",
    "COMMON_COLUMNS",
    "CONTAINERS",
    "DESCRIPTIONS",
    "ENDINGS",
    "FIELD_VALUES",
    "HARMLESS_FIRST",
    "HARMLESS_KEYS",
    "HARMLESS_LAST",
    "HARMLESS_WHOLE",
    "JWK_NAMES",
    "KEY_OF",
    "MANIFEST_NAMES",
    "MARKED_SECRET",
    "NAME_NAMES",
    "NOT_A_PIN",
    "NOT_A_SECRET_TOKEN",
    "NOT_PASS",
    "NOT_STEMS",
    "OF_CODE",
    "OF_COMPANY",
    "OF_DIGITS",
    "OF_NUMBER",
    "OF_STRIPE",
    "PAIRS",
    "PASS_ENDINGS",
    "PROMPTS",
    "ROWS",
    "SECRET",
    "SECRET_LAST",
    "SECRET_WHOLE",
    "SIDES",
    "SPELLED",
    "STATEMENTS",
    "STEMS",
    "TELLING_NAMES",
    "TOKENS_OF",
    "TYPED_NAMES",
    "TYPE_NAMES",
    "VALUES",
    "VALUE_CONTAINERS",
    "VALUE_NAMES",
    "WEAK",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(plain_letters(text).split())


SECRET = _words(
    """
    pass passwd password passphrase passcode passkey passwort pwd pswd psw pw secret secrets token
    apikey apitoken privatekey secretkey accesskey authkey credential credentials cred creds
    cookie cookies auth authorization authorisation bearer jwt csrf xsrf otp totp hotp pin pins
    pincode cvv cvc cvn csc ssn iban mnemonic sessionid sessid phpsessid jsessionid sessionkey
    session webauthn kennwort contrasena contraseña motdepasse senha passcodes passwords
    connectionstring connstr pgpass keytab keypass storepass trustpass pword passw psk mdp pwrd
    passwrd wachtwoord haslo hasło пароль 密码 密碼 パスワード 비밀번호 пароли
    口令 暗証番号 암호 clave claves contrasenya senhas şifre sifre parola wagwoord
    lösenord losenord adgangskode passord salasana heslo jelszó jelszo κωδικός κωδικος סיסמה סיסמא
    รหัสผ่าน शब्दकूट पासवर्ड गुप्तशब्द संकेतशब्द পাসওয়ার্ড গোপনশব্দ پاسورڈ گذرواژه رمزعبور
    கடவுச்சொல் நுழைவுச்சொல் నుడి పాస్వర్డ్ పాస్‌వర్డ్ సంకేతపదం nenosiri neno_siri katasandi sandi kalmar matkhau
    mậtkhẩu पासवर्ड് пассворд гасло паролі geslo lozinka лозинка slaptažodis parool wachtwoorden
    كلمةالمرور كلمةالسر паролата парола паролу şifrə sifre құпиясөз lykilorð
    பாஸ்வேர்ட் ಪಾಸ್‌ವರ್ಡ್ ಪಾಸ್ವರ್ಡ್ પાસવર્ડ പാസ്‌വേഡ് പാസ്വേഡ് ਪਾਸਵਰਡ ପାସୱାର୍ଡ
    seedphrase seedwords privkey pepper ccnum otpauth jws jwe rememberme cardpan puk mtan phototan
    密钥 密鑰 秘密鍵 비밀키 סיסמא ססמה паролі пинкод palavrapasse कूटशब्द पासकोड parol
    nthash lmhash ntlmhash paßwort passwörter geheimnis zugangsdaten segreto secreto segredo sekret
    tajemnica тайна pasword paswd passwor
    sig signature pem pfx pkcs12 kubeconfig dockerconfigjson dockercfg netrc pgpassfile
    authentication magstripe kubeconfigs şifreniz הסיסמה הסיסמא
    """
)
SECRET_LAST = _words("dsn pat dek kek jks p12")
"""Secret where nothing follows: ``sentry_dsn``, and not ``pat_count``."""
STEMS = (
    "password passwd passphrase passcode passwort secret credential apikey privatekey accesskey "
    "authtoken sessionid sessid connectionstring"
).split()
ENDINGS = tuple(
    """
    token tokens pwd dbpass userpass mypass dbpw cookie apikeys encryptionkey decryptionkey
    signingkey masterkey sharedkey accountkey deploykey sshkey hostkey storagekey licensekey
    servicekey clientkey serverkey hmackey sessionkey webhookkey cardnumber cardno ccnumber authtok
    """.split()
)
NOT_STEMS = _words(
    "secretary secretaries secretariat secretion passwordless secretless secretsmanager "
    "secretmanager"
)
PASS_ENDINGS = ("pass", "pw", "passwd")
NOT_PASS = tuple(
    "compass bypass encompass overpass surpass trespass underpass multipass eurail impass".split()
)

KEY_OF = _words(
    """
    api private priv secret access encryption encrypt encrypted decryption decrypt signing sign
    signature auth account service db database client master ssh hash hmac session shared symmetric
    aes rsa dsa des ec ecdsa ed25519 pgp gpg tls ssl webhook subscription functions deploy app
    application server admin root jwt jws jwe jwk crypto cipher security developer recovery license
    tacacs radius luks bitlocker escrow filevault
    wrapping kek dek live test prod production sandbox bot stripe openai anthropic aws azure gcp
    google sendgrid twilio github gitlab slack mailgun datadog sentry heroku cloudflare
    digitalocean huggingface cohere mistral gemini groq paypal square plaid algolia mapbox
    preshared consumer kms wifi wlan wpa wep storage host enc crypt priv unseal seal setup cert
    certificate activation block join pairing vpn wireguard psk fernet function
    """
)
CODE_OF = _words(
    """
    mfa otp totp 2fa fa verification verify security recovery backup auth access sms login one
    onetime twofactor reset activation pass pin device authorization confirmation unlock verifier
    email phone invitation invite enrollment enrolment registration pairing gift voucher redemption
    """
)
PAIRS = tuple(
    (plain_letters(first), plain_letters(second))
    for first, second in (
        ("seed", "words"),
        ("maiden", "name"),
        ("jwk", "private"),
        ("palavra", "passe"),
        ("пин", "код"),
        ("пиh", "код"),
        ("recovery", "words"),
        ("mnemonic", "words"),
        ("phrase", "backup"),
        ("community", "snmp"),
        ("community", "string"),
        ("captcha", "response"),
        ("recaptcha", "response"),
        ("card", "number"),
        ("card", "no"),
        ("card", "num"),
        ("cc", "number"),
        ("cc", "num"),
        ("cc", "no"),
        ("security", "number"),
        ("security", "no"),
        ("parola", "chiave"),
        ("connection", "string"),
        ("conn", "string"),
        ("conn", "str"),
        ("connect", "sid"),
        ("seed", "phrase"),
        ("recovery", "phrase"),
        ("key", "material"),
        ("key", "pem"),
        ("account", "number"),
        ("pass", "phrase"),
        ("passe", "mot"),
        ("account", "no"),
        ("routing", "number"),
        ("security", "answer"),
        ("jenkins", "crumb"),
        ("sonar", "login"),
        ("saml", "response"),
        ("saml", "assertion"),
        ("magic", "link"),
        ("sso", "ticket"),
        ("secure", "string"),
        ("client", "assertion"),
        ("oauth", "verifier"),
        ("palabra", "clave"),
        ("kata", "sandi"),
        ("neno", "siri"),
        ("mật", "khẩu"),
        ("khau", "mat"),
        ("كلمة", "المرور"),
        ("كلمة", "السر"),
        ("رمز", "عبور"),
        ("پاس", "ورڈ"),
        ("गुप्त", "शब्द"),
        ("গোপন", "শব্দ"),
        ("reset", "link"),
        ("totp", "uri"),
        ("otp", "uri"),
        ("wacht", "woord"),
        ("kenn", "wort"),
    )
)

SPELLED = tuple(
    """
    id_rsa id_ed25519 id_ecdsa id_dsa nt_hash lm_hash ntlm_hash id_token_hint track_data
    track1_data track2_data national_insurance_number challenge_answer maiden_name kube_config
    kube_config_raw key_plaintext plaintext_key plaintext_data_key x-honeycomb-team x-jfrog-art-api
    fastly-key
    """.split()
)
"""Names of words that are common by themselves: in a text they are looked for as they are here."""

HARMLESS_LAST = _words(
    """
    count counts id ids uuid name names hash hashes hashed digest digests fingerprint checksum
    type types kind method methods mode at on by expires expiry expiration expired expire ttl
    length len size limit used usage version versions policy policies status state scope scopes
    prefix url uri endpoint path file created changed updated rotated deleted revoked reset
    enabled disabled required valid invalid verified present missing exists set provider
    providers algorithm alg format issuer audience age index timeout days hours minutes seconds
    ms min max strength score attempts retries failures rules field label arn ref store manager
    operation action event owner source reason last4 bits rotation
    lifetime duration interval created_at domain samesite consent budget bucket rate price cost user
    prevention date reuse complexity requirement requirements
    username masked redacted config configuration settings setting identifier identifiers alias
    aliases description mask hint hints context time times details options parameters resource
    requested page in info information metadata meta stats statistics summary sock socket class
    fail failure success successful succeeded error errors namespace use review step minute second
    hour day banner stdin prompt strategy strategies decision factor factors protocol frequency
    device detail access request uid spray spraying stuffing phishing theft dumping
    delivery channel recipient notification encoder hasher hashing validator
    validators scheme mounted engine backend color colour validity units flow flows column columns
    region permission permissions scanning
    """
)
DESCRIPTIONS = HARMLESS_LAST | _words(
    "ip ips address email mail login subject sub iss aud exp iat nbf jti realm region account org "
    "tenant client device agent location country active subtype permissions permission role roles "
    "group groups tags tag note notes comment reference number public serial mfa level acr amr"
)
"""Last in the names of what describes a token, a session, a credential."""
CONTAINERS = _words("secrets credentials creds passwords apikeys accesskeys apitokens")
"""What holds secrets under names of their own: ``credentials["stripe"] = "x"``."""
HARMLESS_FIRST = _words(
    "is has had needs need requires require uses use allow allows can should must force automount"
)
SECRET_WHOLE = _words(
    "requesttoken usercode cctestreporterid tempurlkey smspin mothersmaidenname mothermaidenname"
    " \u043f\u0438\u043d \u043f\u0438h"
)
"""Names that are a secret's as they are, and part of others that are not: ``request_token`` of
OAuth 1, ``user_code`` of a device (RFC 8628). The last is read from capital letters."""
HARMLESS_WHOLE = _words(
    "imagepullsecrets externalsessionid rootsessionid aadsessionid accesskeyid s3key awss3key"
    " hashedtoken resultsignature credentialpublickey"
    " existingsecret "
)
"""Names of audit logs of GitHub and Azure, of WebAuthn, and of Kubernetes for names of secrets;
what Okta and Microsoft call the sign-in that events belong to."""
TOKENS_OF = _words(
    """
    prompt completion max min total input output cached reasoning remaining used num n avg mean
    thinking context cache read write creation count estimated
    """
)
VALUES = _words(
    """
    value values oldvalue oldvalues newvalue newvalues plaintext plaintexts cleartext rawvalue
    currentvalue previousvalue prevvalue plainvalue clearvalue
    """
)


FIELD_VALUES = VALUES | _words(
    "data content payload val raw body text old new before after from to"
)
"""Names of the fields that hold the secret which an event is about; in a text, ``VALUES``."""
OF_DIGITS = _words("tan tans 2fa tfa twofa mfa otc smstan")
"""Names of a code where the value is one of digits: ``2fa: 839201``, and not ``2fa: enabled``."""
OF_STRIPE = _words("track1 track2 track3")
"""Names of what a card's magnetic stripe holds, where the value has a card's number in it."""
OF_NUMBER = _words("pan")
"""A card's number, where the value has as many digits or letters; a camera has one, too."""
BY_VALUE = _words("sid sas seed refresh access private")
"""Names of a secret where the value looks drawn at random: ``sid`` may be one of Windows."""
HARMLESS_KEYS = _words(
    """
    public cache object primary partition sort foreign routing group idempotency dedup index lookup
    row shard message translation i18n event issue project jira natural business composite unique
    hash range lock queue topic s3 file tenant feature flag metric trace span label answer map
    legend config settings sentry_public publishable press down up turn
    """
)
"""Before ``key``: what a value is found by, as against what opens something."""
NOT_A_SECRET_TOKEN = _words(
    "next page prev previous continuation pagination idempotency sync cursor marker starting "
    "resume request skip fencing lock change delta paging"
)
"""Before ``token``: where a listing goes on, or which request this is."""
NOT_A_PIN = _words("map gpio push drop rolling safety header connector location")
"""Before ``pin``: a thing that is fixed, or fixes something."""
WEAK = _words(
    "token tokens auth authentication authorization authorisation credential credentials session "
    "secret secrets bearer cookie cookies sessions sig signature passkey passkeys"
)
"""Names of things that have descriptions besides: a dict of such a name is looked into, and after
it a word of prose is one."""

NAME_NAMES = _words(
    """
    name key field header param parameter variable var env k n setting attribute attr property
    option column label secretname secretkey path loc parametername headername fieldname
    settingname variablename attributename propertyname displayname columnname keyname
    configkey configname config parametername envname jsonpath propertypath fieldpath what item
    member element subject target kindof prop props fieldid fieldkey parameterkey paramname
    optionname optionkey argumentname attributekey propertykey columnid itemname keypath pointer
    xpath cookiename inputname formfield
    """
)
SIDES = tuple(
    """
    old new before after from to was is now previous prev current cur next lhs rhs left right
    original orig updated upd prior past present initial final removed added existing incoming
    expected actual desired proposed requested stored given local remote base head then last
    old_one new_one minus plus default
    """.split()
)
"""What the two values of a change are called."""
_KINDS = ("value", "values", "val", "vals", "data", "state", "text", "content", "raw", "string")
VALUE_NAMES = (
    _words("value values val v content data text raw input ctx a b valuefrom valueto")
    | {side.replace("_", "") for side in SIDES}
    | {side + kind for side in SIDES for kind in _KINDS}
    | {kind + side for side in SIDES for kind in _KINDS}
    | _words("parametervalue headervalue fieldvalue settingvalue variablevalue attributevalue")
    | _words("propertyvalue displayvalue configvalue secretvalue stringvalue optionvalue argument")
    | _words("argumentvalue edits vals")
)
"""``{"name": "password", "value": "x"}``: what the first names, the second holds. Folded."""
VALUE_CONTAINERS = _words(
    "item state states history diff diffs difference differences change changes delta edit"
    " transition"
)
"""``{"name": "password", "change": {…}}``: what holds old and new value in itself."""
PROMPTS = _words("prompt question title placeholder caption")
ANSWERS = _words("answer answers response reply userinput entered typed")
"""``{"prompt": "Password:", "answer": "x"}``: what a person was asked for, and what he typed."""
TYPE_NAMES = frozenset(("type", "kind", "id", "inputtype", "fieldtype"))
TYPED_NAMES = frozenset(("value", "values", "val"))
"""``{"type": "password", "value": "x"}``: what has a type has many other members besides."""
MARKED_SECRET = _words("sensitive issecret secret hidden secure protected writeonly ispassword")
"""``{"sensitive": true, "value": "x"}``, as in the plans of Terraform."""
JWK_NAMES = frozenset(("d", "k", "p", "q", "dp", "dq", "qi", "oth"))
"""The private members of a JSON Web Key (RFC 7518 section 6), which ``kty`` tells."""
STATEMENTS = _words("sql statement query stmt dbstatement sqltext")
ARGUMENTS = _words("params parameters args arguments values bindings binds bind bindparams")
"""A statement, and what is put into it."""
COLUMNS = _words(
    """
    columns column cols header headers head fields keys names columnnames colnames fieldnames
    keynames labels params parameters parameternames attributes attributenames attrs properties
    props propertynames variables schema
    """
)
ROWS = VALUE_NAMES | _words(
    """
    rows row values value data records record cells cell tuples tuple items item vals args
    arguments body columnvalues keyvalues fieldvalues rowvalues bindings lines line
    """
)
"""The names of columns, and what is in them."""
COMMON_COLUMNS = _words(
    """
    id user username userid login name email mail account host hostname server service role roles
    url address ip port type status state created updated createdat updatedat key env environment
    database db firstname lastname fullname group tenant project app note comment no nr number
    """
)
"""What the other columns of a table are called whose first row has their names."""
CHANGES = _words("changes changed change diff diffs updates updated modified modifications delta")
OF_CODE = frozenset(("granttype", "redirecturi", "codeverifier"))
"""Beside a ``code``, these say that it is the one of OAuth."""
APPROLE = frozenset(("roleid", "secretid"))
"""The two halves of a login to Vault; the second alone is the name of a secret."""
MANIFEST_NAMES = TYPED_NAMES | {"data", "stringdata"}
"""``{"kind": "Secret", "data": {…}}``, as Kubernetes has it, and its clients."""
OF_COMPANY = APPROLE | OF_CODE | {"code", "roottoken", "plaintext", "keyname"}
"""Names whose value is secret, or that of another member, beside some others (``companions``)."""
TELLING_NAMES = MARKED_SECRET | STATEMENTS | OF_COMPANY | {"kty", "netloc", "objectref"}
"""Names whose value, or that with it, says of others that they are secret."""
