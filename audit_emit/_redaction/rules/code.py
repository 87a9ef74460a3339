"""Tokens of code hosts, package registries and services that build.

Facts from the vendors' documentation and from the public rule sets of gitleaks, Kingfisher, Nosey
Parker and TruffleHog: prefix, alphabet, length.
"""

from __future__ import annotations

from audit_emit._redaction.rule import Rule, sample, token

RULES: tuple[Rule, ...] = (
    *token("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", "word", 36, least=13, anywhere=True),
    *token("github-fine-grained-token", "github_pat_", "word", 82, least=13, anywhere=True),
    *token("gitlab-token", "glpat- gldt- glrt- glrtr-", "padded", 20, least=12, anywhere=True),
    *token(
        "gitlab-other-token",
        "glptt- glcbt- glsoat- glft- glagent- glimt- glffct- gloas- glwt-",
        "dotted",
        25,
        least=18,
        anywhere=True,
    ),
    *token("gitlab-runner-token", "GR1348941", "word", 20, least=12, anywhere=True),
    *token("gitlab-session", "_gitlab_session=", "hex", 32, least=16, anywhere=True),
    *token("atlassian-token", "ATATT ATCTT", "base64url", 180, least=20, anywhere=True),
    *token("bitbucket-token", "ATBB", "alnum", 32, least=24),
    *token("bitbucket-data-center-token", "BBDC-", "token", 44, least=30),
    *token("buildkite-token", "bkua_ bkaj_ bkpt_ bkct_", "alnum", 40, least=20),
    *token("circleci-token", "CCIPAT_", "word", 63, least=30, anywhere=True),
    *token("circleci-project-token", "CCIPRJ_", "word", 63, least=30, anywhere=True),
    *token("clojars-token", "CLOJARS_", "alnum", 60, least=24, anywhere=True),
    *token("crates-io-token", "cio", "alnum", 32, exact=True, long_run=True),
    *token("docker-token", "dckr_pat_ dckr_oat_", "word", 27, least=12, anywhere=True),
    *token("jfrog-key", "AKC", "alnum", 69, least=28, mixed=True),
    *token("jfrog-reference-token", "cmVmd", "alnum", 59, least=40),
    *token("npm-token", "npm_", "alnum", 36, least=13),
    *token("nuget-key", "oy2", "lower", 43, exact=True, long_run=True),
    *token("pypi-token", "pypi-AgE", "word", 160, least=12, anywhere=True),
    *token("rubygems-key", "rubygems_", "alnum", 48, least=24, anywhere=True),
    *token("sonar-token", "squ_ sqp_ sqa_ sqco_", "alnum", 40, least=20),
    *token("sourcegraph-token", "sgp_ slk_ sgd_", "word", 40, least=20),
    *token("infracost-key", "ico-", "alnum", 32, least=24),
    *token("dependency-track-key", "odt_", "alnum", 32, least=24),
    *token("octopus-key", "API-", "upper", 26, least=24, mixed=True),
    *token("readme-key", "rdme_", "lower", 70, least=30),
    *token("prefect-key", "pnu_ pnb_", "alnum", 36, least=20),
    *token("snyk-token", "snyk_uat. snyk_sat.", "dotted", 60, least=24, anywhere=True),
    *token("contentful-token", "CFPAT-", "word", 43, least=20),
    *token("postman-key", "PMAK-", "word", 59, least=24, anywhere=True),
    *token("postman-collection-key", "PMAT-", "upper", 26, least=20),
    *token(
        "figma-token",
        "figd_ figo_ figor_ figoh_ figp_ figu_ figur_ figuh_",
        "base64url",
        40,
        least=24,
    ),
    *token("linear-token", "lin_api_ lin_oauth_", "alnum", 40, least=13),
    *token("notion-token", "ntn_", "alnum", 46, least=30),
    *token("convertapi-secret", "secret_", "alnum", 16, exact=True, random=True, long_run=True),
    *token("endor-labs-key", "endr+", "word", 16, least=12),
    *token("finage-key", "API_KEY", "upper", 32, exact=True, mixed=True, long_run=True),
    *token("portainer-token", "ptr_", "base64url", 44, least=20, mixed=True),
    *token("thunderstore-token", "tss_", "word", 36, least=24),
    *token("trufflehog-key", "thog-key- thog-secret-", "hex", 32, least=16, anywhere=True),
    *token("notion-old-token", "secret_", "alnum", 43, least=36),
    Rule(
        id="terraform-cloud-token",
        keywords=(".atlasv1.",),
        find=r"(?<![\w.\-])[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-=]{24,}",
        examples=lambda: (sample("atlas", "alnum", 14) + ".atlasv1." + sample("tf", "word", 64),),
    ),
    Rule(
        id="airtable-token",
        keywords=("pat",),
        find=r"(?<![\w.\-])pat[A-Za-z0-9]{14}\.[0-9A-Za-z]{56,}",
        examples=lambda: (
            "pat" + sample("airtable", "alnum", 14) + "." + sample("air", "hex", 64),
        ),
        word_start=True,
        long_run=True,
    ),
    Rule(
        id="airtable-oauth-token",
        keywords=(".v1.",),
        find=r"(?<![\w.\-])[A-Za-z0-9]{10,40}\.v1\.[\w\-]{10,120}\.[0-9a-f]{16,}",
        examples=lambda: (
            "oaa" + sample("a1", "alnum", 13) + ".v1." + "aB3-" * 6 + "." + sample("a", "hex", 64),
        ),
    ),
    Rule(
        id="storyblok-token",
        keywords=("tt-",),
        find=r"(?<![A-Za-z0-9])[A-Za-z0-9]{22}tt-[0-9]{6}-[\w\-]{12,}",
        examples=lambda: (sample("storyblok", "alnum", 22) + "tt-123456-" + "aB3-" * 5,),
        long_run=True,
    ),
)
