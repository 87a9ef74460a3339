from __future__ import annotations

import copy
import hashlib
import hmac
import itertools
import pickle
import re
from collections.abc import Callable
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.difficult_values import CASES
from support.for_each import for_each

from audit_emit._redaction.engine import Engine
from audit_emit._redaction.redactor import Redactor, Secret, hash_value_prefix

KEY = b"k" * 32
ENGINE = Engine()
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxIn0.c2lnbmF0dXJl"
DASHES = "-" * 5
PEM = f"{DASHES}BEGIN RSA PRIVATE KEY{DASHES}\nMIIE\n{DASHES}END RSA PRIVATE KEY{DASHES}"
CARD = "4111" + "1111" * 3
BODY = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6"
LONG = BODY + BODY
DASHED = "-".join([BODY[:10]] * 5)
HEX = "0a1b2c3d" * 4

SECRET_NAMES = """
    user_password db_pass accessToken x-api-key APIKey clientSecret connection_string set-cookie
    authorization pin cvv otp password password2 userPASSWORD DB.Pass ANTHROPIC_API_KEY OAuthToken
    refresh_token apikey api_keys PHPSESSID connect.sid session_id sessionId session card_number
    cc_number creditCardNumber private_key STRIPE_LIVE_KEY mysql_pwd csrf_token X-CSRFToken bearer
    token tokens Pin 2fa_code verification_code secret_value new_password password_confirmation
    secretKeyBase aws_secret_access_key auth_token x-amz-security-token proxy-authorization
    credentials privateKey passphrase pwd secret ssn iban jwt auth passwd PassWord sshKey
    masterKey encryption_key recovery_codes seed_phrase contraseña Cookie webhookSecret totpSecret
    psk preshared_key keypass storepass consumer_key kms_key dek wifi_key sentryDsn github_pat
    encryptionkey signingkey masterkey sharedkey accountkey deploykey sshkey hostkey storage_key
    cardnumber mot_de_passe mdp wachtwoord пароль userMasterkey x_encryptionkey cardNumber
    security_answer samlResponse code_verifier magicLink sso_ticket unlock_code
""".split()
SECRET_NAMES += [
    "".join(chr(ord(char) + 0xFEE0) for char in name) for name in ("password", "API_KEY")
]
"""In full-width letters."""
PLAIN_NAMES = """
    token_count value_hash secret_id secret_name password_changed_at auth_method tokens_used key
    keys prompt_tokens max_tokens author authority authenticated pinned spinning compass bypass
    primary_key public_key cache_key status_code error_code country_code secretary workspace_id
    operation scope value old_value has_password keyboard monkey object_key tokenizer session_count
    card_type passenger passed opinion mapping shipping hash_value path access_level account_id
    client_id service api app name description assertion encryption token_type password_reset_at
    is_secret passwordHash tokenCount secret-id idempotency_key key_id correlation_id password_hash
    hostname storage_class monkeys hostkeys_count masterkey_id cache_keys motto
    ticket ticket_id answer link response path pattern patch dsn_host data_key pat_count décision
""".split()
VALUE_NAMES = "value oldValue OLD_VALUE new-value plaintext PlainText New.Value VALUE".split()

TEXTS = [
    (PEM, ""),
    (PEM[:50], ""),
    ("x " + PEM[20:], ""),
    (f"got {JWT} here", "got  here"),
    (f"{JWT[:40]}", ""),
    (f"x={GITHUB}", "x="),
    *((f"({kind}_{BODY})", "()") for kind in ("gho", "ghu", "ghs", "ghr")),
    (f"github_pat_{BODY}_{BODY}", ""),
    (f"glpat-{BODY[:10]}-{BODY[:9]}", ""),
    *((f"{kind}_{BODY}", "") for kind in ("sk_live", "sk_test", "rk_live", "rk_test")),
    (f"xoxb-123-456-{BODY}", ""),
    (f"AIza{BODY}abc", ""),
    (f"npm_{BODY}", ""),
    *((f"hv{kind}.{BODY}", "") for kind in "sbr"),
    (f"dckr_pat_a-b_{BODY}", ""),
    (f"ATATT3x-F_{BODY}", ""),
    (f"lin_api_{BODY}", ""),
    (f"sq0csp-{BODY}", ""),
    ("machine h login u password ab", "machine h login u password "),
    ("mysqldump -u root -pab db", "mysqldump -u root -p db"),
    ("sshpass -p ab ssh h", "sshpass -p  ssh h"),
    ("sshpass -pab ssh h", "sshpass -p ssh h"),
    ("mysql -uroot -p'a b' db", "mysql -uroot -p db"),
    ("Command 'mysql -pab' returned 'x'", "Command 'mysql -p' returned 'x'"),
    ("['/usr/bin/mysql', '-uroot', '-pa b', 'db']", "['/usr/bin/mysql', '-uroot', '-p', 'db']"),
    ('["mysqldump","-pab","db"]', '["mysqldump","-p","db"]'),
    ("[mysql, -uroot, -pab, db]", "[mysql, -uroot, -p, db]"),
    ("['sudo', 'sshpass', '-p', 'a b', 'ssh']", "['sudo', 'sshpass', '-p', '', 'ssh']"),
    ("['docker', 'login', '-u', 'bob', '-p', 'ab']", "['docker', 'login', '-u', 'bob', '-p', '']"),
    ("docker login -u bob -p ab reg.io", "docker login -u bob -p  reg.io"),
    ("redis-cli -h x -a ab ping", "redis-cli -h x -a  ping"),
    ("ldapsearch -D cn=x -w ab -b y", "ldapsearch -D cn=x -w  -b y"),
    ("keytool -list -storepass ab -v", "keytool -list -storepass  -v"),
    ("connect -Password ab", "connect -Password "),
    (f"pypi-AgE{BODY}", ""),
    *((f"gl{kind}-{BODY[:10]}-{BODY[:9]}", "") for kind in "ptt soat ft agent imt ffct".split()),
    (f"glcbt-64_{BODY[:20]}", ""),
    *((f"({prefix}{LONG})", "()") for prefix in "gsk_ xai- r8_ pplx- ntn_ gloas- dp.pt.".split()),
    *((f"({prefix}{DASHED})", "()") for prefix in "nvapi- figd_ sb_secret_ 1//0 dckr_oat_".split()),
    *((f"pscale_{kind}_{DASHED}", "") for kind in ("tkn", "pw", "oauth")),
    *(
        (f"{prefix}{HEX}{HEX}", "")
        for prefix in "sntryu_ sbp_ doo_v1_ rubygems_ shppa_ sk_ lsv2_pt_".split()
    ),
    *((f"{prefix}{HEX}", "") for prefix in ("dapi", "SK")),
    (f"sntrys_eyJ{LONG}", ""),
    (f"glc_eyJ{LONG}", ""),
    *((f"({prefix}{LONG})", "()") for prefix in ("secret_", "eyJrIjoi", "EAAG")),
    (f"CCIPAT_{LONG[:22]}_{HEX}", ""),
    (f"pat{LONG[:14]}.{HEX}{HEX}", ""),
    (f"NRAK-{LONG[:27].upper()}", ""),
    (f"PMAK-{HEX[:24]}-{HEX}ab", ""),
    (f"dt0c01.{LONG[:24].upper()}.{LONG.upper()}", ""),
    (f"xkeysib-{HEX}{HEX}-{LONG[:16]}", ""),
    (f"tskey-auth-{BODY[:11]}-{BODY[:12]}", ""),
    (f"bedrock-api-key-{LONG}", ""),
    (f"ABSKQmVkcm9ja0FQSUtleS{LONG}{LONG}", ""),
    (f"{LONG[:14]}.atlasv1.{LONG}", ""),
    ("MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2F-Q." + "Zn-Cjm1XVW7vRze4b7Cq4se7kKW", ""),
    (f"secret is abc8Q~{DASHED[:34]} x", "secret is  x"),
    (f"{HEX}-us12", ""),
    ("key: LS0tLS1CRUdJTi" + "BSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlF", "key: "),
    ("LS0tLS1CRUdJTiBP", ""),
    (
        "ppk\nPrivate-Lines: 1\nAAAA\nBBBB\nPrivate-MAC: aa",
        "ppk\nPrivate-Lines: 1\n\nPrivate-MAC: aa",
    ),
    (
        'jwk={"kty":"RSA","n":"ab","e":"AQAB","d":"cd","qi":"ef"}',
        'jwk={"kty":"RSA","n":"ab","e":"AQAB","d":"","qi":""}',
    ),
    (f"sk-ant-api03-{BODY}", ""),
    (f"sk-proj-{BODY}", ""),
    (f"SG.{BODY[:22]}.{BODY}", ""),
    (f"hf_{BODY}", ""),
    ("Bearer abc", "Bearer "),
    ("Authorization: Bearer abc.def x", "Authorization: "),
    ("Basic dXNlcjpwYXNz", "Basic "),
    ("401 for Basic Ym9iOmFiYw==, again", "401 for Basic , again"),
    ("Basic Ym9iOmFiY2Q=", "Basic "),
    ("Basic dTpwPz4", "Basic "),
    ("Basic Ym9iOj8-Pz8_", "Basic "),
    ("Basic OmFiY2RlZmdoaWo=", "Basic "),
    ("https://u:p@host/x", "https://@host/x"),
    ("postgres://app:p@ss/w0rd@db:5432/x", "postgres://@db:5432/x"),
    *(
        (f"postgres://bob:{password}@db/app", "postgres://@db/app")
        for password in ("a'b", 'a"b', "a`b", "x@y'z", "'a", "a<b/c", "a'12", "1'a")
    ),
    ("'postgres://bob:a'b@db/app' failed", "'postgres://@db/app' failed"),
    ("postgres://bob:a\",'b;@db", "postgres://@db"),
    ("jdbc:oracle:thin:scott/ab@//db:1521/x", "jdbc:oracle:thin:scott/@//db:1521/x"),
    ("sqlplus -s scott/ab@db", "sqlplus -s scott/@db"),
    ("password='a'\\pb'", "password='"),
    ("fetching //bob:ab@host/x", "fetching //@host/x"),
    (r'{"url":"https:\/\/bob:ab@host\/x"}', r'{"url":"https:\/\/@host\/x"}'),
    *(
        (f"DB_PASSWORD={password} x", "DB_PASSWORD= x")
        for password in (
            "p(x)tail [x]tail {x}tail aB<ctail <tail a)tail a'tail a)'tail x</tail"
            ' $(cat\u00a0x)tail "ab"tail a&{tail a,\'tail a"$tail b"x"y'
        ).split(" ")
    ),
    ('password=""tail"', 'password="'),
    ('password="a""b"', 'password="'),
    ("password='ab'.", "password=''."),
    ('<user password="ab"/>', '<user password=""/>'),
    ('<a password="ab">x</a>', '<a password="">x</a>'),
    ("<b>password=ab</b> x", "<b>password=</b> x"),
    ("password=ab<br/>x", "password=<br/>x"),
    (r"\"password=ab\", x", r"\"password=\", x"),
    ("connect(password=get(ab), host=x)", "connect(password=, host=x)"),
    ("password=hunter2", "password="),
    ("?a=1&token=xyz&b=2", "?a=1&token=&b=2"),
    ("login failed, password: hunter2!", "login failed, password: "),
    ('{"password":"x y","a":1}', '{"password":"","a":1}'),
    ("{'token': 'abc', 'b': 2}", "{'token': '', 'b': 2}"),
    (r'"{\"password\":\"a\\\"b\",\"c\":1}"', r'"{\"password\":\"\",\"c\":1}"'),
    ('{"pin":1234}', '{"pin":}'),
    ('{"tokens":["a","b"],"c":1}', '{"tokens":,"c":1}'),
    ("Server=x;Password=ab;c=d", "Server=x;Password=;c=d"),
    ("Cookie: a=b; c=d\nHost: x", "Cookie: \nHost: x"),
    ("mysql --password 'a b' -h x", "mysql --password '' -h x"),
    ("['mysql', '--password', 'a b', '-h']", "['mysql', '--password', '', '-h']"),
    ("<a><password>x y</password></a>", "<a><password></password></a>"),
    ("Login(user='u', password='hunter2')", "Login(user='u', password='')"),
    ("pwd: b'a b' z", "pwd: b'' z"),
    ("input_value='hunter2', input_type=str", "input_value='', input_type=str"),
    ("root:pw@tcp(127.0.0.1:3306)/db", "@tcp(127.0.0.1:3306)/db"),
    ("curl -u user:pass http://x", "curl -u user: http://x"),
    ("password:\u00a0x", "password:\u00a0"),
    ("password: |\n  hunter2\nz", "password: |\n  \nz"),
    ("a:\n  key_pem: >-\n    a\n\n      b\n    c\n  d: e", "a:\n  key_pem: >-\n    \n  d: e"),
    ("passwords:\n  - ab\n  - c d\nz: 1", "passwords:\n  - \nz: 1"),
    ("passwords:\r\n- ab\r\n- cd", "passwords:\r\n- "),
    ("password: &p ab", "password: &p "),
    ("password: !!str ab", "password: !!str "),
    ("dn: x\nuserPassword:: YWI=\nsn: y", "dn: x\nuserPassword:: \nsn: y"),
    ("mnemonic: legal winner, thank you", "mnemonic: "),
    ("seed_phrase=legal winner thank host=x", "seed_phrase= host=x"),
    ("passphrase: correct horse\nx: y", "passphrase: \nx: y"),
    ('{"passphrase":"correct horse","a":1}', '{"passphrase":"","a":1}'),
    ("<password><![CDATA[a<b]]></password>", "<password></password>"),
    ("<a:Password T='x'><v>ab</v></a:Password><b>c</b>", "<a:Password T='x'></a:Password><b>c</b>"),
    ("<key>password</key>\n<string>ab</string>", "<key>password</key>\n<string></string>"),
    ("Bearer\nabc", "Bearer\n"),
    ('Authorization: Digest username="x", response="y"', "Authorization: "),
    (
        "curl -H 'X-Api-Key: abc' -H \"Cookie: a=b; c=d\" x",
        "curl -H 'X-Api-Key: ' -H \"Cookie: \" x",
    ),
    ("INSERT [parameters: ('x', 'y')]\nz", "INSERT [parameters: \nz"),
    *(
        (
            f"DETAIL:  Failing row contains (1, a\nb, null).{end}",
            f"DETAIL:  Failing row contains {end}",
        )
        for end in ("", "\nCONTEXT: x", "'")
    ),
    ("Failing row contains (1, a\nb", "Failing row contains "),
    ("unnamed portal parameter $1 = 'ab'", "unnamed portal parameter $1 = "),
    ("Key (token)=(a b) already exists.", "Key (token)=() already exists."),
    ("Key (tenant, api_key)=(7, ab) already exists.", "Key (tenant, api_key)=() already exists."),
    ("Key (lower(token))=(ab) already", "Key (lower(token))=() already"),
    (
        "Duplicate entry 'a-b' for key 'users.api_token'",
        "Duplicate entry '' for key 'users.api_token'",
    ),
    (
        r"(1062, 'Duplicate entry \'ab\' for key \'uq_token\'')",
        r"(1062, 'Duplicate entry \'\' for key \'uq_token\'')",
    ),
    (
        "duplicate key row in 'dbo.t' with unique index 'IX_pin'. The duplicate key value is (a).",
        "duplicate key row in 'dbo.t' with unique index 'IX_pin'. The duplicate key value is (",
    ),
    (
        "INSERT INTO users (name, `password`) VALUES ('b', 'a, (''b'), ('c', f('d'))",
        "INSERT INTO users (name, `password`) VALUES ('b', ''), ('c', )",
    ),
    (
        'insert into t (a,"pin")values(3,12) returning id',
        'insert into t (a,"pin")values(3,) returning id',
    ),
    ("INSERT INTO t (a, token) VALUES (1, 'b", "INSERT INTO t (a, token) VALUES (1, "),
    ("UPDATE users SET `password` = 'ab'", "UPDATE users SET `password` = ''"),
    ("WHERE token IN ('a', 'b(') AND x", "WHERE token IN () AND x"),
    ("where pin not in (12, 34)", "where pin not in ()"),
    ("password LIKE 'ab%'", "password LIKE ''"),
    ("\"token\" <> E'ab'", "\"token\" <> E''"),
    ("Invalid token 'ab12' in request", "Invalid token '' in request"),
    ('wrong user password "ab12"', 'wrong user password ""'),
    ("Incorrect API key provided: sk12*34. You can", "Incorrect API key provided: . You can"),
    ("contraseña=x", "contraseña="),
    (f"card {CARD} ok", "card  ok"),
    ("4111 1111 1111 1111", ""),
    ("user%5Bpassword%5D=ab&x=1", "user%5Bpassword%5D=&x=1"),
    ("user%5bpin%5d=ab", "user%5bpin%5d="),
    ("/a?next=%2Fb%3Fpassword%3Dab%2Bc%26x%3D1", "/a?next=%2Fb%3Fpassword%3D%26x%3D1"),
    ("password%3Dab", "password%3D"),
    ("q=a%2526token%253Dab%2526b%253D1", "q=a%2526token%253D%2526b%253D1"),
    ("to=https%3A%2F%2Fbob%3Aab%40host%2F", "to=https%3A%2F%2F%40host%2F"),
    ("%7B%22password%22%3A%22ab%22%7D", "%7B%22password%22%3A%22%22%7D"),
    ("password%3A%20ab", "password%3A%20"),
    ("SplitResult(scheme='https', netloc='u:ab@h')", "SplitResult(scheme='https', netloc='@h')"),
    ('{"name":"DB_PASSWORD","value":"ab","x":1}', '{"name":"DB_PASSWORD","value":"","x":1}'),
    ('{"new":"ab","old":"cd","key":"api_key"}', '{"new":"","old":"","key":"api_key"}'),
    (
        '{"name":"pin","value":"ab"}\n{"name":"b","value":"c"}',
        '{"name":"pin","value":""}\n{"name":"b","value":"c"}',
    ),
    (
        "[{'loc': ('body', 'pin'), 'msg': 'no {3}', 'input': 'x y', 'ctx': {1: 2}}, {'loc': ()}]",
        "[{'loc': ('body', 'pin'), 'msg': 'no {3}', 'input': '', 'ctx': }, {'loc': ()}]",
    ),
    (
        "[{'loc': ['pin'], 'msg': 'm', 'input': 'x'}, {'loc': ['name'], 'input': 'b'}]",
        "[{'loc': ['pin'], 'msg': 'm', 'input': ''}, {'loc': ['name'], 'input': 'b'}]",
    ),
    (
        'body [{"input":"x","loc":["password"],"msg":"m"}]',
        'body [{"input":"","loc":["password"],"msg":"m"}]',
    ),
    ('<input type="password" name="a" value="x y">', '<input type="password" name="a" value="">'),
    (
        "- name: DB_PASSWORD\n  value: ab\n- name: b\n  value: c",
        "- name: DB_PASSWORD\n  value: \n- name: b\n  value: c",
    ),
    (
        '<add key="password" value="ab"/><add key="b" value="c"/>',
        '<add key="password" value=""/><add key="b" value="c"/>',
    ),
    ('<entry key="password">ab</entry>', '<entry key="password"></entry>'),
    (
        '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\na\r\nb\r\n--b--',
        '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n\r\n--b--',
    ),
    ("ALTER USER bob WITH PASSWORD 'ab'", "ALTER USER bob WITH PASSWORD ''"),
    ("create user bob identified by 'a''b' x", "create user bob identified by '' x"),
    ("SET PASSWORD FOR bob = 'ab'", "SET PASSWORD FOR bob = ''"),
    ("SET PASSWORD FOR 'bob'@'%' = PASSWORD('ab')", "SET PASSWORD FOR 'bob'@'%' = PASSWORD('')"),
    ("[(b'host', b'x'), (b'authorization', b'ab')]", "[(b'host', b'x'), (b'authorization', b'')]"),
    ('[["x-api-key", "ab"], ["b", "c"]]', '[["x-api-key", ""], ["b", "c"]]'),
    ("['curl', '-u', 'bob:ab']", "['curl', '-u', 'bob:']"),
    (
        f"https://hooks.slack.com/services/T00000000/B00000000/{BODY}",
        "https://hooks.slack.com/services/T00000000/B00000000/",
    ),
    (
        f"https://api.telegram.org/bot123456789:AA{BODY}/x",
        "https://api.telegram.org/bot123456789:/x",
    ),
    (
        f"https://discord.com/api/webhooks/{'1' * 18}/{BODY}",
        f"https://discord.com/api/webhooks/{'1' * 18}/",
    ),
    ("2026-05-19 4111-1111-1111-1111", "2026-05-19 "),
    ("3782 822463 10005", ""),
    *(
        (f"card {separator.join(groups)} ok", "card  ok")
        for separator in (*"._/+\t\n\u2009\u202f\u200b\u3000", "\r\n", "  ", "\u00a0\u00a0")
        for groups in (["4111", *["1111"] * 3], ["3782", "822463", "10005"])
    ),
    ("4111%201111%201111%201111", ""),
    *(
        ("".join(chr(ord(zero) + int(digit)) for digit in CARD), "")
        for zero in "\uff10\u0660\u06f0"
    ),
    ("2223 0031 2200 3222", ""),
]
CLEAN = [
    "call +49 1511 2628552",  # Luhn's sum is right, and it is a telephone number
    "+4915172609971",
    "Invalid token 'WHERE' at line 3",
    'unknown token "FROM"',
    "docker run -p 80:80 app login",
    "",
    "hello world",
    "Bearer authentication required",
    "basic functionality",
    "Incorrect password for 'bob1'",
    "Invalid token '}' at line 3, no password given",
    "invalid password",
    "r8_model xai-grok pplx-7b-online figd_ure gsk_ ntn_x dapi SK12 1//0 Q~ sb_secret_name",
    f"commit {HEX}{HEX} of xai-{HEX[:8]} 5Q~x",
    "LS0tLS1CRUdJTi" + "BDRVJUSUZJQ0FURS0tLS0tCk1JSUM=",
    '{"kty":"RSA","n":"ab","e":"AQAB"}',
    "the MTV.Awards.ceremony and x.atlasv1.y",
    '<password expired="no"/><name>bob</name>',
    "<token></token><a>b</a>",
    "passwords:\n\nx",
    "2026.0519.2000.0003",
    "192.168.100.200:4111 4.111.111.111",
    "4111.1111.1111.1112",
    "5500\n4000\n4100\n4200\n4300\n4111\n1111\n1111\n1111\n4111",
    "+49 4111/111 1111-11",
    "1747684800.123456 2026/05/19/20/00/00",
    "docker run -p 80:80 nginx",
    "mosquitto_sub -p 1883 -t x",
    "mysql -uroot -p db",
    "ssh -p 22 host, then mkdir -p x",
    "the number - a code - is well-known",
    "unzip -l x.zip",
    "/a%20b?c=%C3%A9%2F token",
    "100%25 of 3%3D",
    "INSERT INTO users (name, password) VALUES (%s, %s), (?, $2), (:a, :b), (NULL, DEFAULT)",
    "INSERT INTO t (name, token_count) VALUES ('bob', 5)",
    "SELECT token FROM t WHERE id IN (1, 2) AND name LIKE 'b%'",
    "select * from t where token in (select token from u)",
    "Key (email)=(a@b.c) already exists. token",
    "Duplicate entry 'bob' for key 'users.name' token",
    "the token is in (my opinion) the wrong place",
    "{'loc': ('body', 'name'), 'msg': 'm', 'input': 'b', 'ctx': {}} token",
    '{"type":"token","content":"x","n":5}',
    '{"url":"https://host:8080","email":"a@b.c"}',
    "<a href='http://host:80'>a@b.c</a>",
    r'{"url":"http:\/\/host:80\/x","by":"a@b.c"}',
    "a//b c@d",
    "// a: b@c",
    "Basic Only",
    "http://host:8080/@user",
    "https://medium.com/@user",
    "ssh://git@github.com/x",
    "git@github.com:x/y.git",
    "user@example.com: hello",
    "4111111111111112",
    "1747684800000",
    "2026-05-19 20:00:00.123456789",
    "20260519200000",
    "0a4f2c1e-1111-4222-8333-444455556666",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "token_count=5 secret_id=7",
    "key: value",
    "password=[redacted]",
    "12345678901234567890123",
    "0.4111111111111111",
    "eyJ is how they begin",
    "the PRIVATE KEY was rotated",
    "sk-learn and xoxo",
    "the user's password's strength isn't known",
    "Password for bob's account",
    '{"name":"b","value":"c"}, {"key":"x"} token_count',
    '["password", "email", "name"]',
    "10%off=5",
]


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(KEY)


# Secret


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{:>40}".format, lambda s: f"{s!r:.5}"])
def test_a_secret_never_shows_itself(show: Callable[[Any], str]) -> None:
    assert "hunter2" not in show(Secret("hunter2"))


def test_a_secret_gives_its_value_when_asked() -> None:
    assert Secret("hunter2").get_secret_value() == "hunter2"


def test_two_secrets_are_equal_only_when_they_are_the_same() -> None:
    one = Secret("a")
    assert one == one  # noqa: PLR0124
    assert one != Secret("a")


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_not_copied_into_the_clear(way: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="Secret"):
        way(Secret("hunter2"))


# hash_value_prefix


@pytest.mark.parametrize(("n", "digits"), [(8, 8), (1, 1), (64, 64), (0, 1), (-5, 1), (999, 64)])
def test_the_prefix_is_as_long_as_asked_within_its_bounds(n: int, digits: int) -> None:
    assert hash_value_prefix("abc", n) == hashlib.sha256(b"abc").hexdigest()[:digits]


@pytest.mark.parametrize("n", [None, "x", [], float("nan"), float("inf"), object()])
def test_a_length_that_is_no_number_means_eight(n: Any) -> None:
    assert len(hash_value_prefix("abc", n)) == 8


def test_text_and_its_bytes_have_the_same_hash() -> None:
    assert hash_value_prefix("é\ud800") == hash_value_prefix(
        "é\ud800".encode(errors="surrogatepass")
    )


def test_with_a_key_the_hash_is_an_hmac() -> None:
    expected = hmac.new(KEY, b"abc", "sha256").hexdigest()[:8]
    assert hash_value_prefix("abc", key=KEY) == expected


@pytest.mark.parametrize("wrap", [Secret, pydantic.SecretStr])
def test_the_hash_of_a_secret_is_that_of_its_value(wrap: Callable[[str], Any]) -> None:
    assert hash_value_prefix(wrap("abc")) == hash_value_prefix("abc")


@for_each("make", [make for _, make in CASES])
def test_the_hash_of_anything_is_eight_digits(make: Callable[[], Any]) -> None:
    assert re.fullmatch("[0-9a-f]{8}", hash_value_prefix(make()))


# Names


@for_each("name", SECRET_NAMES)
def test_the_name_of_a_secret(redactor: Redactor, name: str) -> None:
    assert redactor.is_secret_key(name, False)


@for_each("name", PLAIN_NAMES)
def test_the_name_of_something_else(redactor: Redactor, name: str) -> None:
    assert not redactor.is_secret_key(name, False)


@pytest.mark.parametrize("name", VALUE_NAMES)
def test_a_value_is_a_secret_in_events_about_secrets(redactor: Redactor, name: str) -> None:
    assert redactor.is_secret_key(name, True)
    assert not redactor.is_secret_key(name, False)


def test_a_name_of_very_many_parts_is_taken_for_a_secret(redactor: Redactor) -> None:
    assert not redactor.is_secret_key("aB" * 15, False)
    assert redactor.is_secret_key("aB" * 33, False)


def test_settings_win_over_the_rules_in_any_spelling() -> None:
    redactor = Redactor(secret_keys={"shoe_size"}, safe_keys={"api-key"})
    assert redactor.is_secret_key("shoeSize", False)
    assert not redactor.is_secret_key("API_KEY", False)
    assert redactor.scrub("shoe_size=42 x") == "shoe_size=[redacted] x"
    assert redactor.scrub("shoe_size%3D42 x") == "shoe_size%3D[redacted] x"


def test_the_cache_of_names_is_bounded(redactor: Redactor) -> None:
    for n in range(10_000):
        redactor.is_secret_key(f"name{n}", False)
    redactor.is_secret_key("x" * 10**6, False)
    assert sum(map(len, redactor._cache)) <= 4096


# Held back


def test_without_a_key_nothing_is_known_of_a_value() -> None:
    assert Redactor().held_back("x") == "[redacted]"
    assert Redactor().key_id is None


def test_with_a_key_equal_values_stay_comparable(redactor: Redactor) -> None:
    held = redactor.held_back("hunter2")
    digest = hmac.new(KEY, b"hunter2", "sha256").hexdigest()[:16]
    assert held == f"hmac-sha256:{redactor.key_id}:{digest}"
    assert redactor.held_back(Secret("hunter2")) == held
    assert redactor.held_back(b"hunter2") == held


def test_another_key_gives_another_id_and_value(redactor: Redactor) -> None:
    other = Redactor(b"o" * 32)
    assert other.key_id != redactor.key_id
    assert other.held_back("x")[-16:] != redactor.held_back("x")[-16:]


def test_a_number_is_held_back_as_its_text(redactor: Redactor) -> None:
    assert redactor.held_back(1234) == redactor.held_back("1234")


def test_a_container_is_held_back_whole(redactor: Redactor) -> None:
    assert redactor.held_back(["a", 1]) == redactor.held_back(["a", 1])
    assert redactor.held_back(["a", 1]) != redactor.held_back(["a", 2])


@for_each("make", [make for _, make in CASES])
def test_anything_can_be_held_back(redactor: Redactor, make: Callable[[], Any]) -> None:
    assert redactor.is_held_back(redactor.held_back(make()))


def test_the_key_is_not_in_the_repr(redactor: Redactor) -> None:
    assert "kkk" not in repr(redactor)


# Texts


@for_each("text, left", TEXTS)
def test_a_secret_in_a_text_is_held_back(text: str, left: str) -> None:
    redactor = Redactor()
    scrubbed = redactor.scrub(text)
    assert scrubbed is not None
    assert scrubbed.replace("[redacted]", "") == left
    assert ENGINE.suspicious(text)
    assert redactor.scrub(scrubbed) is None


@for_each("text", [text for text, _ in TEXTS])
def test_what_is_held_back_is_not_held_back_again(redactor: Redactor, text: str) -> None:
    scrubbed = redactor.scrub(text)
    assert scrubbed is not None
    assert redactor.scrub(scrubbed) is None


@for_each("text", CLEAN)
def test_other_text_is_left_alone(redactor: Redactor, text: str) -> None:
    assert redactor.scrub(text) is None


def test_in_events_about_secrets_a_value_in_a_text_is_held_back() -> None:
    assert Redactor().scrub("set value=x") is None
    assert Redactor().scrub("set value=x", secret_event=True) == "set value=[redacted]"


@for_each("at", range(8192 - 45, 8192 + 5))
def test_a_secret_across_the_cut_leaves_no_usable_part(at: int) -> None:
    text = "x " * (at // 2) + "x" * (at % 2) + GITHUB + " tail" * 1000
    scrubbed = Redactor().scrub(text) or text[:8192]
    assert len(scrubbed) <= 8192 + len("[redacted]")
    assert GITHUB[:8] not in scrubbed


def test_only_the_beginning_of_a_long_text_is_in_the_result() -> None:
    scrubbed = Redactor().scrub("password=x " + "y" * 100_000)
    assert scrubbed is not None
    assert len(scrubbed) <= 8192 + len("[redacted]")


def test_a_text_full_of_secrets_is_held_back_to_its_end() -> None:
    assert Redactor().scrub("pin=12 " * 64 + "x") == "pin=[redacted] " * 64 + "x"
    assert Redactor().scrub("pin=12 " * 65 + "x") == "pin=[redacted] " * 63 + "pin=[redacted]"


PARTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from([text for text, _ in TEXTS]),
    st.sampled_from([text for text, _ in TEXTS]).flatmap(
        lambda text: st.slices(len(text)).map(lambda cut: text[cut])
    ),
    st.sampled_from(CLEAN + SECRET_NAMES),
    st.sampled_from(
        [" ", "=", ": ", '"', "'", "-", "--", "\\", ":", "@", "://", ".", "<", ">", "_"]
    ),
    st.text("0123456789 -", max_size=20),
)
MIXED = st.lists(PARTS, max_size=8).map("".join)


@given(MIXED)
def test_what_is_not_suspicious_has_nothing_in_it(text: str) -> None:
    assert ENGINE.suspicious(text) or not ENGINE.find(text, Redactor().is_secret_key)


@given(MIXED, MIXED)
def test_a_record_is_suspicious_when_a_text_in_it_is(one: str, two: str) -> None:
    assert not ENGINE.suspicious(one) or ENGINE.suspicious(f'"{two}":"{one}","{two}"')


@given(MIXED)
def test_what_stays_of_a_text_is_in_its_order(text: str) -> None:
    spans = [one[:2] for one in ENGINE.find(text, Redactor().is_secret_key)]
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans))


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


CARDS = r"4[0-9]{14}|5[1-5][0-9]{13}|3[47][0-9]{12}|6011[0-9]{11}|35[3-8][0-9]{12}|62[0-9]{13,16}"


@given(st.from_regex(CARDS, fullmatch=True), st.data())
def test_every_valid_card_number_is_found_however_it_is_spaced(start: str, data: Any) -> None:
    number = next(start + str(n) for n in range(10) if _luhn(start + str(n)))
    if len(set(number)) == 1:
        return
    gaps = data.draw(st.lists(st.sampled_from(["", " ", "-"]), min_size=19, max_size=19))
    spaced = "".join(a + b for a, b in zip(number, gaps, strict=False)).rstrip(" -")
    assert Redactor().scrub(f"card: {spaced}.") == "card: [redacted]."


USUAL = (
    "https://shop.example/items?id=17&sort=asc&page=2",
    "The user 17 changed the settings of the workspace and left",
    "J\u00fcrgen M\u00fcller aus K\u00f6ln 17 \u2013 gr\u00f6\u00dfer als \u00fcblich",
    "2026-11-30T12:00:01.000017Z",
    "bob@example.com",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "/users/17/orders/2026",
    "moved 3 items from web-1 to web-2",
)


@pytest.mark.parametrize("text", USUAL)
def test_no_rule_has_to_look_at_a_usual_text(redactor: Redactor, text: str) -> None:
    redactor.engine.prepare()
    assert not redactor.engine.suspicious(text)
