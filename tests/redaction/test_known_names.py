"""Names of fields that real services have, each judged by what its documentation says it holds.

They are those of audit logs (CloudTrail, Kubernetes, GitHub, Okta, Entra, Google Cloud), of
frameworks and their settings, of OAuth, OpenID Connect, SAML and WebAuthn, of banks and hospitals.
"""

from __future__ import annotations

from pathlib import Path

from support.for_each import for_each

from audit_emit._redaction.names import depends_on_value, is_secret_name

PAGE = Path(__file__).parent.parent.parent / "docs" / "redaction.md"

SECRET = """
    password passwd pwd secret token api_key apikey auth credentials mysql_pwd privatekey
    private_key sessionid csrftoken x_csrftoken set_cookie cookie authorization
    proxy-authorization x_api_key HTTP_COOKIE HTTP_AUTHORIZATION HTTP_X_API_KEY stripetoken
    stripeToken access_token accessToken bearer secret_token secretToken confirm_password
    password_confirmation passwordConfirmation current_password old_password new_password
    newPassword1 new_password2 pass passphrase crypt_password otp ssn cvv cvc secret_key
    SECRET_KEY DATABASE_PASSWORD DB_PASSWORD REDIS_PASSWORD MYSQL_ROOT_PASSWORD
    POSTGRES_PASSWORD PGPASSWORD MYSQL_PWD RABBITMQ_DEFAULT_PASS MINIO_SECRET_KEY
    MINIO_ROOT_PASSWORD ELASTIC_PASSWORD GF_SECURITY_ADMIN_PASSWORD SONAR_TOKEN NPM_TOKEN
    GITHUB_TOKEN GH_TOKEN GITLAB_TOKEN CI_JOB_TOKEN CI_REGISTRY_PASSWORD DOCKER_PASSWORD
    DOCKERHUB_TOKEN HEROKU_API_KEY AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AZURE_CLIENT_SECRET
    ARM_CLIENT_SECRET ARM_ACCESS_KEY GOOGLE_API_KEY OPENAI_API_KEY ANTHROPIC_API_KEY HF_TOKEN
    SLACK_BOT_TOKEN SLACK_SIGNING_SECRET STRIPE_SECRET_KEY STRIPE_WEBHOOK_SECRET
    TWILIO_AUTH_TOKEN SENDGRID_API_KEY MAILGUN_API_KEY DATADOG_API_KEY DD_API_KEY DD_APP_KEY
    NEW_RELIC_LICENSE_KEY SENTRY_AUTH_TOKEN SENTRY_DSN VAULT_TOKEN CONSUL_HTTP_TOKEN NOMAD_TOKEN
    TF_TOKEN PULUMI_ACCESS_TOKEN CLOUDFLARE_API_TOKEN FASTLY_API_KEY DIGITALOCEAN_ACCESS_TOKEN
    LINODE_TOKEN JWT_SECRET JWT_SECRET_KEY APP_KEY APP_SECRET SESSION_SECRET COOKIE_SECRET
    NEXTAUTH_SECRET ENCRYPTION_KEY FERNET_KEY SECRET_KEY_BASE RAILS_MASTER_KEY DJANGO_SECRET_KEY
    FLASK_SECRET_KEY LDAP_BIND_PASSWORD SMTP_PASSWORD EMAIL_HOST_PASSWORD MAIL_PASSWORD
    FTP_PASSWORD SSH_PRIVATE_KEY SSH_PASSPHRASE GPG_PASSPHRASE KEYSTORE_PASSWORD
    TRUSTSTORE_PASSWORD KEY_PASSWORD ANDROID_KEYSTORE_PASSWORD FASTLANE_PASSWORD MATCH_PASSWORD
    APPLE_APP_SPECIFIC_PASSWORD client_secret clientSecret client_assertion refresh_token
    refreshToken id_token idToken id_token_hint code_verifier codeVerifier device_code
    deviceCode assertion_token subject_token actor_token oauth_token oauth_token_secret
    oauth_verifier oauth_signature oauth_consumer_secret consumer_secret
    registration_access_token initial_access_token software_statement_token logout_token
    SAMLResponse saml_response samlAssertion saml_assertion dpop_token
    client_secret_basic_password password_hash_pepper pepper hmac_key hmacKey signing_key
    signingKey signing_secret webhook_secret webhookSecret webhook_signing_secret encryption_key
    encryptionKey decryption_key master_key masterKey data_key_plaintext plaintext_key
    PlaintextDataKey private_key_pem privateKeyPem private_key_passphrase ssh_key sshKey
    ssh_private_key host_key_private tls_private_key tlsPrivateKey ssl_key key_pem keyPem
    client_key_data clientKeyData client-key-data pfx_password p12_password pkcs12
    certificate_password certificate_private_key keystore_password storePassword keyPassword
    backup_codes backupCodes recovery_codes recoveryCodes recovery_key recoveryKey
    recovery_phrase seed_phrase mnemonic otp_secret otpSecret totp_secret totpSecret totp_seed
    otp_seed mfa_secret mfaCode mfa_code two_factor_code twoFactorCode verification_code
    sms_code smsCode one_time_password oneTimePassword one_time_code otp_code otpCode passcode
    pin pin_code pinCode pin_block pinBlock card_pin atm_pin card_number cardNumber
    credit_card_number creditCardNumber cc_number ccNumber card_cvc cardCvc card_cvv cvv2 cvc2
    security_code securityCode card_security_code track_data track1_data track2_data magstripe
    iban account_number accountNumber routing_number bank_account_number
    sort_code_account_number social_security_number socialSecurityNumber ssn_number
    national_insurance_number tax_id_number_ssn session_id sessionId session_token sessionToken
    session_key sessionKey PHPSESSID JSESSIONID ASP.NET_SessionId connect.sid laravel_session
    XSRF-TOKEN csrf_token csrfmiddlewaretoken authenticity_token __RequestVerificationToken
    remember_token remember_me_token rememberToken auth_token authToken authtoken auth_key
    authKey login_token loginToken magic_link magicLink reset_token resetToken
    reset_password_token password_reset_token passwordResetToken confirmation_token
    confirmationToken invitation_token invite_token unlock_token activation_token
    verification_token email_verification_token api_token apiToken apitoken
    personal_access_token personalAccessToken deploy_token runner_token runners_token
    registration_token trigger_token bot_token botToken app_secret appSecret shared_secret
    sharedSecret pre_shared_key preSharedKey psk wpa_passphrase wifi_password wpa_psk tunnel_psk
    radius_secret snmp_community communityString tacacs_key enable_secret enable_password
    secret_access_key secretAccessKey SecretAccessKey SessionToken x-amz-security-token
    X-Amz-Signature masterUserPassword MasterUserPassword adminPassword
    administratorLoginPassword AdminPassword loginPassword SecretString SecretBinary
    secretString secretBinary AuthToken authorizationToken AuthorizationToken accountKey
    AccountKey primaryConnectionString secondaryConnectionString PrimaryAccessKey
    connectionString ConnectionString sasToken sas_token SharedAccessSignature SharedAccessKey
    storageAccountKey storage_account_access_key primary_access_key primary_connection_string
    admin_password administrator_login_password function_key functionKey hostKey
    instrumentation_secret client_certificate_password dockerconfigjson .dockerconfigjson
    service_account_key private_key_id_secret serviceAccountKey google_credentials
    credentials_json master_password master_auth_token auth_token_secret root_password
    rootPassword admin_pass adminPass user_pass userpass dbpass db_pass dbpassword mysqlpass
    pgpass ftp_pass smtp_pass ldap_pass bindpw bind_password bindPassword rootpw sudo_pass
    become_pass ansible_become_pass ansible_password ansible_ssh_pass vault_password vault_token
    vaultToken unseal_key unsealKeys root_token rootToken wrapping_token role_secret kubeconfig
    kube_config_raw bootstrap_token join_token joinToken cluster_token node_token
    tailscale_authkey ts_authkey authkey ngrok_authtoken user_password userPassword x-auth-token
    X-Auth-Token X-Vault-Token X-Consul-Token X-Gitlab-Token x-goog-api-key
    Ocp-Apim-Subscription-Key x-functions-key x-api-secret api-key apiKey api_secret apiSecret
    app_key application_key secretkey accesskey access_key_secret accessKeySecret license_key
    licenseKey product_key_secret serial_secret activation_code activationCode gift_card_pin
    gift_card_code voucher_secret push_token_secret fcm_server_key server_key serverKey
    apns_auth_key vapid_private_key plaid_access_token stripe_api_key paypal_client_secret
    braintree_private_key square_access_token shopify_api_secret twilio_token
    slack_webhook_token discord_token telegram_bot_token whatsapp_token hubspot_api_key
    salesforce_password security_token securityToken mailchimp_api_key algolia_admin_key
    mapbox_token firebase_token firebase_private_key sentry_dsn dsn amqp_password
    kafka_sasl_password sasl_password saslPassword sasl.jaas.password ssl.keystore.password
    ssl.key.password spring.datasource.password spring.security.user.password
    vcap_services_password management.key.secret eureka.password security_answer securityAnswer
    secret_answer challenge_answer passkey_private_key webauthn_private_key
    attestation_private_key biometric_template_secret enc_key enckey aes_key aesKey
    rsa_private_key rsaPrivateKey ec_private_key ecdsa_key ed25519_private_key dsa_key
    pgp_private_key gpg_private_key jwks_private_key jwt jwtToken jwt_token access_jwt
    bearer_token bearerToken sso_token ssoToken kerberos_ticket_secret krb_password keytab
    nt_hash ntlm_hash lm_hash
""".split()

HARMLESS = """
    event_id event_type event_name event_source event_time user_id username user_name user_agent
    email ip_address source_ip sourceIPAddress remote_addr x_forwarded_for client_ip request_id
    correlation_id trace_id span_id parent_id tenant_id org_id organization_id account_id
    accountId project_id resource_id resource_name role role_arn roleArn principal_id
    principalId principal arn region aws_region status status_code outcome result error
    error_code errorCode error_message message level severity method path url uri host hostname
    port protocol duration_ms bytes size count timestamp created_at updated_at access_key_id
    accessKeyId AccessKeyId keyId key_id kid kms_key_id kmsKeyId key_arn keyArn key_alias
    KeyName keyName key_name keyPairId key_pair_id key_type keyType key_usage keyUsage keySpec
    key_spec key_state key_size key_length key_algorithm public_key publicKey ssh_public_key
    public_key_fingerprint publishable_key publishableKey thumbprint fingerprint certificate
    certificate_arn certificateId certificate_body certificateChain cert_subject serial_number
    issuer subject not_before not_after secret_id secretId secret_arn secretArn secret_name
    secretName secret_version secretVersion secretVersionId secret_path secret_ref secretRef
    secretKeyRef secretProviderClass secret_manager secretsManager secrets_count secret_count
    secret_type rotation_enabled rotationEnabled rotation_days next_rotation_date token_id
    tokenId token_type tokenType token_name token_count tokenCount token_expires_at token_scope
    token_ttl tokenUse token_use token_issuer token_format tokens_used total_tokens
    prompt_tokens completion_tokens max_tokens input_tokens output_tokens cached_tokens
    reasoning_tokens next_token nextToken page_token pageToken nextPageToken continuation_token
    continuationToken sync_token syncToken idempotency_token clientRequestToken
    ClientRequestToken client_token_uuid cursor password_changed_at passwordLastChanged
    passwordLastUsed password_last_set password_expires_at password_policy passwordPolicy
    minimumPasswordLength password_length password_strength passwordResetRequired
    password_reset_required require_password_change password_enabled password_attempts
    password_hint passwordless has_password is_password_set mustChangePassword pwd_last_set
    pwdLastSet badPwdCount bad_pwd_count auth_method authMethod auth_type authType auth_provider
    authProvider authentication_method authentication_type authenticationType authenticated
    authenticator_type authenticatorName auth_time auth_source auth_url authorization_endpoint
    authorization_url authorizer authorizerId authorized authority author author_id authors
    auth_policy auth_status credential_type credentialType credentialId credential_id
    credential_name credentials_count session_count sessionCount session_duration
    sessionDuration session_timeout session_started_at session_index sessionName session_name
    sessionIssuer sessionContext mfa_enabled mfaEnabled mfa_required mfaAuthenticated mfaUsed
    MFAUsed mfa_device mfa_method mfaMethod otp_enabled otp_length two_factor_enabled
    twoFactorEnabled webauthn_enabled passkey_count passkeyName recovery_email
    recovery_codes_count backup_enabled backup_id pin_enabled pin_length pin_set pinned
    pinned_at pinning card_brand cardBrand card_last4 cardLast4 last4 card_type card_exp_month
    card_exp_year exp_month exp_year card_country card_fingerprint card_holder_name
    payment_method payment_method_id payment_intent_id customer_id customerId invoice_id
    charge_id amount currency bank_name bic swift_code account_holder account_type account_name
    cache_key cacheKey partition_key partitionKey sort_key sort_key_name primary_key_name
    foreign_key object_key objectKey s3_key bucket_key row_key routing_key routingKey shard_key
    idempotency_key idempotencyKey dedup_key translation_key i18n_key key_prefix key_count
    keyboard keyboard_layout keyword keywords keyframe key_result monkey turkey hockey whiskey
    jockey donkey code http_code country_code postal_code zip_code currency_code language_code
    lang_code error_codes exit_code exitCode response_code reason_code area_code product_code
    promo_code coupon_code discount_code barcode qr_code_url source_code_url sort_code
    branch_code color_code codec pattern path_pattern patch patient patientId patient_id
    patient_name patch_level dispatch compat compass bypass encompass passenger passenger_count
    passport_country passed pass_count pass_rate passive passage password_field_present signal
    signals signed_at signed_by signer signup signin_count sign_in_count signin_at design
    designer assign assignee assigned_to significance account accounts accounting occ success
    access accessed_at access_level access_mode accessible ccn_status ccpa_consent cc cc_list
    cc_emails pinterest spinner opinion shipping mapping typing pingable spec namespace
    container containerName image imageID imagePullPolicy pod pod_name podName nodeName labels
    annotations verb apiVersion apiGroup objectRef responseStatus stage auditID userAgent
    sourceIPs requestURI requestReceivedTimestamp stageTimestamp impersonatedUser
    serviceAccountName automountServiceAccountToken tokenReview selfSubjectAccessReview
    resourceVersion uid kind configmap secretNamespace tls_version tlsVersion tls_cipher
    cipher_suite cipherSuite actor actor_id actor_location actor_ip action repo repository
    repo_id org business public_repo visibility hashed_token programmatic_access_type
    external_identity_nameid oauth_application_id oauth_app_name integration_id permissions
    permission scopes scope ref sha before_sha head_sha head_branch workflow_id workflow_run_id
    run_id run_number job_name deploy_key_fingerprint displayMessage eventType legacyEventType
    outcome.result client.userAgent client.ipAddress authenticationContext
    authenticationContext.authenticationStep externalSessionId_count securityContext
    debugContext transaction target actor.alternateId actor.displayName rootSessionId_count
    operationName resultType resultSignature resultDescription callerIpAddress category
    correlationId identity appId appDisplayName servicePrincipalId servicePrincipalName
    conditionalAccessStatus riskLevel riskState deviceDetail modifiedProperties displayName
    loggedByService activityDisplayName initiatedBy targetResources additionalDetails
    protoPayload methodName serviceName resourceName authenticationInfo principalEmail
    authorizationInfo granted requestMetadata callerIp callerSuppliedUserAgent insertId logName
    receiveTimestamp serviceAccountDelegationInfo serviceAccountKeyName client_id clientId
    client_name redirect_uri redirectUri response_type grant_type grantType acr_values acr amr
    aud iss sub nonce state prompt login_hint display max_age ui_locales claims request_uri
    code_challenge code_challenge_method token_endpoint token_endpoint_auth_method jwks_uri
    userinfo_endpoint introspection_endpoint revocation_endpoint end_session_endpoint
    relay_state name_id nameid_format entity_id assertion_consumer_service attestation_type
    aaguid rp_id user_handle transports credential_public_key sign_count diagnosis icd10_code
    medication allergies mrn date_of_birth dob gender blood_type provider_npi insurance_provider
    plan_name visit_id encounter_id order_id order_number tracking_number sku isbn upc ean imei
    hash_rate commit_hash content_hash etag checksum sha256 md5 digest salt_rounds
    hash_algorithm password_hash_algorithm
""".split()

SCRUBBED_BY_OTHERS = {
    "Rails": "passw email secret token _key crypt salt certificate otp ssn cvv cvc",
    "Sentry": "password passwd secret api_key apikey auth credentials mysql_pwd privatekey"
    " private_key token session csrftoken sessionid x_csrftoken set_cookie cookie authorization"
    " proxy_authorization x_api_key x_forwarded_for x_real_ip ip_address remote_addr",
    "Datadog": "password passwd pwd pass_phrase secret api_key private_key public_key access_key"
    " secret_key api_key_id token consumer_id consumer_key consumer_secret signed signature"
    " auth authentication authorization",
    "Elastic": "password passwd pwd secret access_key auth_token session_token credit_card_number"
    " card_number authorization set-cookie principal",
    "Django": "api_token auth_token token api_key secret pass signature http_cookie",
    "Laravel": "password password_confirmation current_password",
    "Spring": "password secret key token credentials vcap_services",
    "Rollbar": "passwd password password_confirmation secret confirm_password secret_token api_key"
    " access_token session_id auth authentication",
}
"""Names that loggers and frameworks scrub where nothing is configured, as they document it."""

NOT_HERE = """
    email _key crypt salt certificate x_forwarded_for x_real_ip ip_address remote_addr public_key
    api_key_id consumer_id signed principal key vcap_services
""".split()
"""Those of them that stay visible; the page says why."""


def test_a_name_that_real_services_have_for_a_secret_is_known() -> None:
    assert [name for name in SECRET if not is_secret_name(name)] == []


def test_a_name_that_real_services_have_for_something_else_is_not_taken_for_one() -> None:
    assert [name for name in HARMLESS if is_secret_name(name)] == []


@for_each("owner", list(SCRUBBED_BY_OTHERS))
def test_what_others_scrub_is_held_back_or_the_page_says_why_not(owner: str) -> None:
    page = PAGE.read_text()
    for name in SCRUBBED_BY_OTHERS[owner].split():
        assert is_secret_name(name) != (name in NOT_HERE), name
        assert name not in NOT_HERE or f"`{name}`" in page, name


def test_a_key_of_some_vendor_is_judged_by_its_value() -> None:
    assert depends_on_value("acme_key")
    assert not is_secret_name("acme_key")
