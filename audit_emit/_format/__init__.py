"""The line: the only place that knows how a record, a link and a checkpoint are written."""
