# One image for every process; docker-compose.yml says which one a container runs.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements.txt /requirements.txt
RUN /venv/bin/pip install -r /requirements.txt

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Uploaded files are the only thing a container writes; /media is a volume shared by web and workers.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin sms \
    && install --directory --owner sms --group sms /media
COPY --from=build /venv /venv
WORKDIR /app
# Folder by folder: a file with secrets that lies beside them never gets into the image.
COPY manage.py gunicorn.conf.py ./
COPY smsplatform smsplatform/
COPY campaigns campaigns/
COPY compliance compliance/
COPY providers providers/
COPY tracking tracking/
COPY templates templates/
COPY static static/
# Settings need these variables to be there; nothing connects anywhere while files are collected.
RUN DATABASE_URL=postgres://nobody@127.0.0.1:1/none REDIS_URL=redis://127.0.0.1:1/0 \
    SECRET_KEY=signs-nothing CREDENTIAL_KEYS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= NUMBER_PEPPERS=hides-nothing \
    python manage.py collectstatic --noinput --verbosity 0
USER sms
CMD ["python", "manage.py", "help"]
