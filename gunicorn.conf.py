"""The web process (gunicorn reads this file by itself). Reasons and measures: docs/adr/0020-requests-share-a-turn.md."""

worker_class = "gthread"
workers = 2
threads = 16  # what one statement can store together
keepalive = 75  # seconds, longer than load balancers keep a connection: who hangs up first may cut a call
reuse_port = True  # the kernel shares connections out evenly; a worker that ended by plan would drop those it queued
graceful_timeout = 15
control_socket_disable = True
