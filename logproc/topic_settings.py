"""What a topic is set to, and what it should be: read, compared and applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from logproc.broker import Broker, translated
from logproc.errors import ConfigError
from logproc.sizes import count_text

MAX_MESSAGE_BYTES = 8 << 20
PARTITIONS = 12
RETENTION_DAYS = 7
DEAD_LETTER_SUFFIX = ".dead_letter"
DEAD_LETTER_RETENTION_DAYS = 30
DAY_MILLISECONDS = 86_400_000


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is. `configs` is empty where the user may not see them; `replication` is the smallest of all partitions."""

    partitions: int
    replication: int
    configs: Mapping[str, str]

    def limit(self, name: str) -> int | None:
        """One of the settings as a number; None where it is not known."""
        text = self.configs.get(name, "")
        return int(text) if text.lstrip("-").isdigit() else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic as it should be; None: the broker chooses, or it stays what it is."""

    partitions: int | None = None
    replication: int | None = None
    retention_days: float = RETENTION_DAYS
    max_message_bytes: int = MAX_MESSAGE_BYTES
    min_insync: int | None = None

    def configs(self, replication: int) -> dict[str, str]:
        """The settings of a topic with so many replicas."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(round(self.retention_days * DAY_MILLISECONDS)),
            "max.message.bytes": str(self.max_message_bytes),
            "min.insync.replicas": str(self.min_insync or max(1, replication - 1)),
            # A replica that lags behind must not become leader: what was acknowledged would be gone.
            "unclean.leader.election.enable": "false",
            # Then retention counts from the arrival, and `load --until TIME` finds its place, whatever a node's clock says.
            "message.timestamp.type": "LogAppendTime",
        }


def read(admin: Any, broker: Broker, topic: str) -> TopicState:
    """Ask for a topic. Raises ConfigError where there is none or it may not be seen."""
    from kafka.admin import ConfigResource
    from kafka.errors import AuthorizationError, for_code

    with translated(broker.place, opening=True):
        (found,) = admin.describe_topics([topic])
        if found["error_code"]:
            raise for_code(found["error_code"])(topic)
    try:
        configs = admin.describe_configs([ConfigResource("TOPIC", topic)], config_filter="all")["topic"][topic]
    except AuthorizationError:
        configs = {}
    partitions = found["partitions"]
    return TopicState(
        len(partitions),
        min((len(p["replica_nodes"]) for p in partitions), default=0),
        {name: str(c["value"]) for name, c in configs.items()},
    )


def differences(state: TopicState, wanted: Wanted) -> list[str]:
    """What of a topic is other than it should be, one line each. Fewer partitions cannot be had, and more do no harm."""
    found = []
    if wanted.partitions is not None and state.partitions < wanted.partitions:
        found.append(f"partitions: {state.partitions}, wanted {wanted.partitions}")
    if wanted.replication is not None and state.replication != wanted.replication:
        found.append(f"replication: {state.replication}, wanted {wanted.replication}")
    for name, value in wanted.configs(state.replication).items():
        now = state.configs.get(name)
        enough = name == "max.message.bytes" and now is not None and int(now) >= int(value)
        if now is not None and now != value and not enough:
            found.append(f"{name}: {now}, wanted {value}")
    return found


def apply(admin: Any, broker: Broker, topic: str, wanted: Wanted) -> list[str]:
    """Make the topic, or change what is other than wanted; what was done, one line each. Raises ConfigError, Unavailable."""
    from kafka.errors import UnknownTopicOrPartitionError

    try:
        state = read(admin, broker, topic)
    except ConfigError as error:
        if not isinstance(error.__cause__, UnknownTopicOrPartitionError):
            raise
        return [_create(admin, broker, topic, wanted)]
    return _change(admin, broker, topic, wanted, state)


def _create(admin: Any, broker: Broker, topic: str, wanted: Wanted) -> str:
    from kafka.errors import InvalidReplicationFactorError

    brokers = len(admin.describe_cluster()["brokers"])
    replication = wanted.replication or min(3, brokers)
    partitions = wanted.partitions or PARTITIONS
    new = {"num_partitions": partitions, "replication_factor": replication, "configs": wanted.configs(replication)}
    try:
        with translated(broker.place, opening=True):
            admin.create_topics({topic: new}, wait_for_metadata=True)
    except ConfigError:
        raise
    except Exception as error:
        if isinstance(error.__cause__, InvalidReplicationFactorError):
            raise ConfigError(
                f"{broker.place}: {count_text(replication, 'replica')} on {count_text(brokers, 'broker')}",
                "give a smaller --replication",
            ) from error
        raise
    return f"made {topic}: {count_text(partitions, 'partition')}, {count_text(replication, 'replica')}"


def _change(admin: Any, broker: Broker, topic: str, wanted: Wanted, state: TopicState) -> list[str]:
    from kafka.admin import ConfigResource

    if wanted.replication is not None and state.replication != wanted.replication:
        raise ConfigError(
            f"{broker.place}: has {state.replication} replicas, and they are not changed here",
            "kafka-reassign-partitions moves replicas",
        )
    done = differences(state, wanted)
    changed = {
        name: value
        for name, value in wanted.configs(state.replication).items()
        if any(line.startswith(f"{name}:") for line in done)
    }
    with translated(broker.place, opening=True):
        if wanted.partitions is not None and state.partitions < wanted.partitions:
            admin.create_partitions({topic: wanted.partitions})
        if changed:
            admin.alter_configs([ConfigResource("TOPIC", topic, changed)])
    return [f"changed {topic}: {line}" for line in done]
