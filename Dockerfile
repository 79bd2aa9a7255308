# One image for collector and dashboard; docker-compose.yml says which command runs.
FROM python:3.12-slim
RUN useradd --create-home --uid 10001 tacho
WORKDIR /app
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY sdk sdk
COPY collector collector
COPY dashboard dashboard
# The lock file pins what the extras ask for; the build tool is among it.
RUN grep -vE "^ +--hash" requirements.lock | sed "s, \\\\$,," > constraints.txt && pip install --no-cache-dir --constraint constraints.txt ".[server,postgres]"
USER tacho
ENV TACHO_HOME=/home/tacho/.tachograph
RUN mkdir -p "$TACHO_HOME"
VOLUME /home/tacho/.tachograph
EXPOSE 4318 8501
CMD ["tacho", "up", "--no-dashboard"]
