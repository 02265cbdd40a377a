"""Two messages as a collector sends them, recorded from a real broker: `python -m tests.kafka.record > tests/kafka/recorded/VERSION.jsonl`."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from pathlib import Path

from logproc.broker import Broker
from logproc.urls import Url
from tests import cli
from tests.kafka.broker import Kafka

POD = "shop_web-v1-7d4b9c6f5d-2xk8p_4cb134f9-6d5e-42f1-8505-644c32f7a623"
MESSAGES = 2
LINES = (
    '[{time}] "GET /cart/{n} HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{{connection_failure}} - "-" 0 95 {n} - "10.1.2.3" '
    '"curl/8.5" "0b4f9d3e-1c2a-4f7e-9a6b-00000000{n:04d}" "web.shop" "10.244.0.7:8080" outbound|8080|v1|web.shop.svc.cluster.local '
    "10.244.0.5:40000 10.96.3.4:8080 10.244.0.5:50000 - default",
    "{time}\twarning\tenvoy config\tStreamAggregatedResources gRPC config stream closed: {n}",
    '[{time}] "GET /half HTTP/1.1" 200',
)


def lines(first: int, count: int) -> bytes:
    """Lines of all three tables in CRI frames, a second apart."""
    made = []
    for n in range(first, first + count):
        time = f"2026-11-21T08:{n // 60:02d}:{n % 60:02d}"
        kind = {4: 1, 7: 2}.get(n % 10, 0)
        made.append(f"{time}.500000001Z stdout F {LINES[kind].format(time=f'{time}.250Z', n=n)}\n")
    return "".join(made).encode()


def record(folder: Path, kafka: Kafka) -> list[dict[str, object]]:
    """What the topic has after two runs of a collector over a file that grows between them."""
    from kafka import KafkaConsumer, TopicPartition

    url = f"kafka://{kafka.address}/recorded"
    cli.output("topics", "apply", url, "--partitions", "1")
    log = folder / "pods" / POD / "istio-proxy" / "0.log"
    log.parent.mkdir(parents=True)
    for part in range(MESSAGES):
        with log.open("ab") as file:
            file.write(lines(part * 20, 20))
        cli.output(
            "collect", folder / "pods", "--to", url, "--state", folder / "state", "--no-follow", env={"NODE_NAME": "node-1"}
        )  # fmt: skip
    broker = Broker.of(Url.parse(url))
    consumer = KafkaConsumer(bootstrap_servers=kafka.address, enable_auto_commit=False)
    partition = TopicPartition(broker.topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    found: list[dict[str, object]] = []
    while len(found) < MESSAGES:
        for message in consumer.poll(timeout_ms=1000).get(partition, []):
            found.append(
                {
                    "headers": [[name, value.decode()] for name, value in message.headers],
                    "value": base64.b64encode(message.value).decode(),
                }
            )
    consumer.close()
    return found


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="logproc-record-"))
    kafka = Kafka(folder / "broker")
    try:
        kafka.start()
        for message in record(folder, kafka):
            print(json.dumps(message))
    finally:
        kafka.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
