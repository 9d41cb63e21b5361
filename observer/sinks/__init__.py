"""All output: metrics, events as lines, the report of a replay."""
