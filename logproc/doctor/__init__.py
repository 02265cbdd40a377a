"""What this machine, the cluster, the broker and the store allow, each finding with what mends it.

`machine` looks at folders and limits, `cluster` at the Kubernetes API, `topics` at Kafka; the store's checks need the sinks and are
in the command. Nothing is changed anywhere, but for a file that is written into the state folder and removed.
"""
