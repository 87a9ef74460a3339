"""Rules over the records of a log: a subset of Sigma 2.1, in one pass (docs/anomalies.md)."""
