"""Tokens of code hosts, package registries and services that build.

Facts from the vendors' documentation and from the public rule sets of gitleaks, Kingfisher, Nosey
Parker and TruffleHog: prefix, alphabet, length.
"""

from __future__ import annotations

from audit_emit._redaction.rule import Rule, sample, token

RULES: tuple[Rule, ...] = (
    *token("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", "alnum", 36, least=13, anywhere=True),
    *token("github-fine-grained-token", "github_pat_", "word", 82, least=13, anywhere=True),
    *token("gitlab-token", "glpat- gldt- glrt- glrtr-", "dotted", 20, least=12, anywhere=True),
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
    *token("atlassian-token", "ATATT3 ATCTT3", "base64url", 180, least=20, anywhere=True),
    *token("bitbucket-token", "ATBB", "alnum", 32, least=24),
    *token("buildkite-token", "bkua_ bkaj_ bkpt_", "alnum", 40, least=20),
    *token("circleci-token", "CCIPAT_", "word", 63, least=30, anywhere=True),
    *token("circleci-project-token", "CCIPRJ_", "word", 63, least=30, anywhere=True),
    *token("clojars-token", "CLOJARS_", "alnum", 60, least=24, anywhere=True),
    *token("crates-io-token", "cio", "alnum", 32, exact=True, long_run=True),
    *token("docker-token", "dckr_pat_ dckr_oat_", "word", 27, least=12, anywhere=True),
    *token("jfrog-key", "AKCp", "alnum", 69, least=28),
    *token("jfrog-reference-token", "cmVmd", "alnum", 59, least=40),
    *token("npm-token", "npm_", "alnum", 36, least=13),
    *token("nuget-key", "oy2", "lower", 43, exact=True, long_run=True),
    *token("pypi-token", "pypi-AgE", "word", 160, least=12, anywhere=True),
    *token("rubygems-key", "rubygems_", "hex", 48, least=24, anywhere=True),
    *token("sonar-token", "squ_ sqp_ sqa_", "hex", 40, least=20),
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
    *token("figma-token", "figd_ figo_ figor_", "word", 40, least=24),
    *token("linear-token", "lin_api_ lin_oauth_", "alnum", 40, least=13),
    *token("notion-token", "ntn_", "alnum", 46, least=30),
    *token("notion-old-token", "secret_", "alnum", 43, least=36),
    Rule(
        id="terraform-cloud-token",
        keywords=(".atlasv1.",),
        find=r"(?<![\w.\-])[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-=]{24,}",
        examples=(sample("atlas", "alnum", 14) + ".atlasv1." + sample("tf", "word", 64),),
    ),
    Rule(
        id="airtable-token",
        keywords=("pat",),
        find=r"(?<![\w.\-])pat[A-Za-z0-9]{14}\.[0-9a-f]{64}",
        examples=("pat" + sample("airtable", "alnum", 14) + "." + sample("air", "hex", 64),),
        word_start=True,
        long_run=True,
    ),
)
