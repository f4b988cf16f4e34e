# One image, four commands: python -m api | webhook | reconciler | reconciler db init
FROM python:3.11-slim AS packages
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir -r requirements.txt

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin sync && install -d -o sync -g sync /var/lib/sync
COPY --from=packages /venv /venv
WORKDIR /app
COPY schema.sql ./
COPY reconciler reconciler
COPY api api
COPY webhook webhook
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 API_HOST=0.0.0.0 WEBHOOK_HOST=0.0.0.0
USER sync
CMD ["python", "-m", "reconciler"]
