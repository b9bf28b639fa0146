"""The consumer app: a member of a consumer group that shows the newest records on a page."""
