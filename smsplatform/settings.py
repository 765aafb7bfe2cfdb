"""Every setting, from the environment (twelve-factor). `manage.py doctor` prints what is missing.

Without DATABASE_URL and REDIS_URL the entry points (manage.py, Celery, the web server, pytest) start the embedded
services first and fill the environment in; see smsplatform/embedded. Nothing else differs.
"""

from datetime import timedelta
from pathlib import Path

import environ
from kombu import Queue

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"
env = environ.Env()

# -- What an operator must give -------------------------------------------------------------------------------------
SECRET_KEY = env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])  # former ones, for opt-out links out there
DATABASE_URL = env.str("DATABASE_URL")
REDIS_URL = env.str("REDIS_URL")
CREDENTIAL_KEYS = env.list("CREDENTIAL_KEYS")  # Fernet keys, newest first; older ones still decrypt
NUMBER_PEPPERS = env.list("NUMBER_PEPPERS")  # secrets under which erased numbers are kept, newest first; see crypto

# -- Web ------------------------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Where vendors reach us. Signatures are verified over this, never over the Host header.
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
HTTPS = PUBLIC_URL.startswith("https://")
LINK_SCHEME = env.str("LINK_SCHEME", default="https" if HTTPS else "http")
LINK_DOMAIN = env.str("LINK_DOMAIN", default=PUBLIC_URL.split("://", 1)[1])
LINK_LIFE = timedelta(days=env.int("LINK_LIFE_DAYS", default=180))
SCANNER_RANGES = env.str("SCANNER_RANGES", default="")  # file of CIDRs: data centres and known scanners
WEBHOOK_MAX_BYTES = env.int("WEBHOOK_MAX_BYTES", default=64 * 1024)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_celery_beat",
    "smsplatform.common",
    "smsplatform.tenancy",
    "compliance",
    "providers",
    "tracking",
    "campaigns",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "smsplatform.common.sessionless.Sessionless",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "smsplatform.tenancy.trail.Trail",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "smsplatform.urls"
WSGI_APPLICATION = "smsplatform.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_USER_MODEL = "tenancy.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "EXCEPTION_HANDLER": "smsplatform.common.api.problem",
}
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(BASE_DIR / ".var" / "media"))
STORAGES = {
    "default": {"BACKEND": env.str("FILE_STORAGE", default="django.core.files.storage.FileSystemStorage")},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_MANIFEST_STRICT = False
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=HTTPS)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS

# -- Database -------------------------------------------------------------------------------------------------------
DATABASES = {
    "default": {
        **env.db_url_config(DATABASE_URL),
        "ENGINE": "smsplatform.common.postgres",
        "CONN_MAX_AGE": env.int("DATABASE_CONN_MAX_AGE", default=60),
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True,  # PgBouncer in transaction mode
        "TEST": {"NAME": env.str("TEST_DATABASE", default=None)},
        "OPTIONS": {"options": "-c idle_in_transaction_session_timeout=60000 -c jit=off"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- Sending: each of these may change at any time; none of them can break a promise --------------------------------
BATCH_SIZE = env.int("BATCH_SIZE", default=500)  # dispatches per batch
SMALL_BATCH = env.int("SMALL_BATCH", default=25)  # batches up to this run in one task
SEND_INTERVAL = max(
    env.int("SEND_INTERVAL", default=1), 1
)  # seconds between two looks for due work; beat knows whole ones
CLAIM_BATCHES = env.int("CLAIM_BATCHES", default=16)  # batches handed out by one look
LANE_IN_FLIGHT = {
    "bulk": env.int("BULK_IN_FLIGHT", default=12),
    "urgent": env.int("URGENT_IN_FLIGHT", default=8),
}
TENANT_IN_FLIGHT = env.int("TENANT_IN_FLIGHT", default=8)  # batches per tenant and lane
ACCOUNT_IN_FLIGHT = env.int("ACCOUNT_IN_FLIGHT", default=8)  # batches whose first choice is one account
LEASE = timedelta(seconds=env.float("LEASE_SECONDS", default=45))
POST_WITHIN = timedelta(seconds=env.float("POST_WITHIN_SECONDS", default=5))  # claim -> request; later is given back
SEND_TURN = timedelta(seconds=env.float("SEND_TURN_SECONDS", default=60))  # one turn of `send` on one batch
HORIZON_MARGIN = timedelta(seconds=env.float("HORIZON_MARGIN_SECONDS", default=10))
MAX_FLIGHTS = env.int("MAX_FLIGHTS", default=5)  # posted tries before a dispatch is dead
RETRY_FIRST = env.float("RETRY_FIRST_SECONDS", default=5)  # then doubled, with jitter
RETRY_LONGEST = env.float("RETRY_LONGEST_SECONDS", default=900)
UNKNOWN_LIFE = timedelta(hours=env.float("UNKNOWN_LIFE_HOURS", default=72))  # then `unknown` is final
REPORT_HORIZON = timedelta(hours=env.float("REPORT_HORIZON_HOURS", default=72))  # how long receipts may come
LATENESS_LIMIT = timedelta(minutes=env.int("LATENESS_LIMIT_MINUTES", default=240))  # default of a campaign
QUIET_GUARD = timedelta(minutes=env.float("QUIET_GUARD_MINUTES", default=10))
RELEASE_SPREAD = timedelta(minutes=env.int("RELEASE_SPREAD_MINUTES", default=30))  # after quiet hours, batch by batch
PERSON_CAP_PER_DAY = env.int("PERSON_CAP_PER_DAY", default=3)  # of marketing per brand and person, in any 24 hours
UNKNOWN_CARRIER_SHARE = env.int("UNKNOWN_CARRIER_SHARE", default=35)  # percent of segments that count for a carrier
MAX_SEGMENTS = env.int("MAX_SEGMENTS", default=10)  # a longer text is not sent; brands may set less
WARN_SEGMENTS = env.int("WARN_SEGMENTS", default=3)  # writers are warned above it
UNREACHABLE_DAYS = env.int("UNREACHABLE_DAYS", default=30)  # how long a number out of reach is left alone
TRIGGERS_PER_IP = env.int("TRIGGERS_PER_IP", default=20)  # messages an hour that one address triggers by API or form
TRIGGERS_PER_FORM = env.int("TRIGGERS_PER_FORM", default=500)  # messages an hour that one form triggers
MATERIALISE_AHEAD = timedelta(minutes=env.int("MATERIALISE_AHEAD_MINUTES", default=15))
OPTOUT_SCOPE_POLICY = env.str("OPTOUT_SCOPE_POLICY", default="all")  # or category: then a brand's own policy counts
UNDO_WINDOW = timedelta(seconds=env.int("UNDO_SECONDS", default=60))  # how long a large launch may be undone
UNDO_ABOVE = env.int("UNDO_ABOVE", default=1000)  # people; a brand may have its own number
SAME_TEXT_WITHIN = timedelta(days=env.int("SAME_TEXT_DAYS", default=7))  # the same text again must be confirmed
APPROVAL_LIFE = timedelta(hours=env.int("APPROVAL_HOURS", default=72))  # to be answered, and then launched

# -- Celery ---------------------------------------------------------------------------------------------------------
QUEUES = ("control", "events", "imports", "bulk.sql", "bulk.http", "urgent.sql", "urgent.http")
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 900,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 15,
    # Of publishing: a dead broker is noticed at once; the work waits in Postgres anyway.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
    "global_keyprefix": env.str("BROKER_PREFIX", default=""),
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY = False  # a publish repeated by the client would enqueue twice; recovery heals a lost one
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_BACKEND = None
CELERY_TASK_QUEUES = [Queue(name) for name in QUEUES]
CELERY_TASK_DEFAULT_QUEUE = "control"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_SOFT_TIME_LIMIT = None  # a soft limit inside `send` would turn answers into unknowns (R6)
CELERY_TASK_TIME_LIMIT = 300
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000  # kB
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = env.bool("WORKER_EVENTS", default=True)  # Flower listens
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_DB_REUSE_MAX = 500
CELERY_BEAT_SCHEDULER = "smsplatform.beat:Scheduler"
CELERY_BEAT_SYNC_EVERY = 30  # ticks; how soon the doctor sees that beat is alive
CELERY_BEAT_SCHEDULE = {
    "hand out bulk": {"task": "hand_out", "schedule": SEND_INTERVAL, "args": ["bulk"]},
    "hand out urgent": {"task": "hand_out", "schedule": SEND_INTERVAL, "args": ["urgent"]},
    "collect": {"task": "collect", "schedule": SEND_INTERVAL},
    "fire schedules": {"task": "fire_schedules", "schedule": 15.0},
    "apply events": {"task": "apply_events", "schedule": 2.0},
    "answer replies": {"task": "answer_replies", "schedule": SEND_INTERVAL},
    "recover": {"task": "recover", "schedule": 5.0},
    "watch canaries": {"task": "watch_canaries", "schedule": 10.0},
    "ask providers": {"task": "ask_providers", "schedule": 30.0},
    "keep house": {"task": "keep_house", "schedule": 3600.0},
    "seal ledgers": {"task": "seal_ledgers", "schedule": 60.0},
    "erase people": {"task": "erase_people", "schedule": 60.0},
    "judge clicks": {"task": "judge_clicks", "schedule": 10.0},
    "apply retention": {"task": "apply_retention", "schedule": 600.0},
}
for _entry in CELERY_BEAT_SCHEDULE.values():
    _entry["options"] = {"expires": max(float(str(_entry["schedule"])) * 2, 5.0)}

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_FORMAT = env.str("LOG_FORMAT", default="json")  # json | console
LOGGING_CONFIG = "smsplatform.common.logging.configure"
LOGGING = {"level": LOG_LEVEL, "format": LOG_FORMAT}
DEFAULT_EXCEPTION_REPORTER = "smsplatform.common.logging.MaskedReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "smsplatform.common.logging.NoVariables"
SENTRY_DSN = env.str("SENTRY_DSN", default="")  # errors go there, masked; empty: nowhere
