"""Keys of services for language models, search and machine learning.

Facts from the vendors' documentation and from the public rule sets of gitleaks, Kingfisher, Nosey
Parker and TruffleHog: prefix, alphabet, length.
"""

from __future__ import annotations

from audit_emit._redaction.rule import Rule, token

_NOT_KEYS = ("task-management-and-planning-board", "a disk-usage-report-of-last-week", "sk-learn")

RULES: tuple[Rule, ...] = (
    *token("sk-key", "sk-", "word", 48, least=16, mixed=True, non_examples=_NOT_KEYS),
    *token("openai-session", "sess-", "alnum", 40, least=36),
    *token("firecrawl-key", "fc-", "hex", 32, least=32),
    *token("groq-key", "gsk_", "alnum", 52, least=30),
    *token("huggingface-token", "hf_", "alnum", 34, least=24),
    *token("huggingface-organization-token", "api_org_", "alnum", 34, least=24),
    *token("jina-key", "jina_", "alnum", 60, least=24),
    *token("langsmith-key", "lsv2_pt_ lsv2_sk_", "word", 43, least=24),
    *token("nvidia-key", "nvapi-", "word", 64, least=40, anywhere=True),
    *token("perplexity-key", "pplx-", "alnum", 48, least=36),
    *token("pinecone-key", "pcsk_", "word", 70, least=24),
    *token("replicate-token", "r8_", "word", 37, least=30),
    *token("tavily-key", "tvly-", "word", 32, least=16),
    *token("voyage-key", "pa-", "word", 43, least=40, mixed=True),
    *token("weights-and-biases-key", "wandb_v1_", "word", 64, least=24),
    *token("xai-key", "xai-", "alnum", 80, least=36),
    *token("anyscale-key", "esecret_", "alnum", 28, least=20),
    *token("apify-token", "apify_api_", "word", 36, least=24, anywhere=True),
    *token("cerebras-key", "csk-", "alnum", 48, least=36),
    *token("e2b-key", "e2b_", "hex", 40, least=32),
    *token("llama-cloud-key", "llx-", "alnum", 48, least=36),
    *token("together-key", "tgp_v1_", "word", 43, least=24),
    *token("elevenlabs-key", "sk_", "hex", 48, least=32),
    *token("brave-search-key", "BSA", "alnum", 28, least=27, mixed=True, long_run=True),
    *token("coderabbit-key", "cr-", "hex", 58, least=48, long_run=True),
    *token("context7-key", "ctx7sk-", "word", 36, least=24),
    *token("cursor-key", "key_ crsr_", "hex", 64, least=48, long_run=True),
    *token("fireworks-key", "fw_", "alnum", 24, exact=True, random=True, long_run=True),
    *token("kaggle-token", "KGAT_", "alnum", 32, least=24),
    *token("langsmith-old-key", "ls__", "hex", 32, least=32),
    *token("mem0-key", "m0-", "alnum", 40, least=36, random=True, long_run=True),
    *token("modal-secret", "as-", "alnum", 22, exact=True, random=True, long_run=True),
    *token("runpod-key", "rpa_", "alnum", 46, least=36, random=True, long_run=True),
)
