#!/bin/sh
# Users and rights on a Kafka with SASL, by Kafka's own tools:
#   BOOTSTRAP=broker:9093 COMMAND_CONFIG=admin.properties sh acls.sh
# `logproc topics apply` makes the topics, with a user that may (an administrator's).
set -eu
topic="${TOPIC:-logproc}"
group="${GROUP:-logproc-load}"
collector="${COLLECTOR:-logproc}"
# Two users, where the loader has a Secret of its own: LOADER=logproc-loader.
loader="${LOADER:-$collector}"

acl() {
  kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "$COMMAND_CONFIG" --add "$@"
}

# Node agents and sidecars write, and ask for the topic's limits once.
acl --allow-principal "User:$collector" --topic "$topic" --operation Write --operation Describe --operation DescribeConfigs
# Loaders read, keep their offsets, and write what the store refuses to the dead-letter topic.
acl --allow-principal "User:$loader" --topic "$topic" --operation Read --operation Describe --operation DescribeConfigs
acl --allow-principal "User:$loader" --group "$group" --operation Read --operation Describe
acl --allow-principal "User:$loader" --topic "$topic.dead_letter" --operation Write --operation Read --operation Describe
