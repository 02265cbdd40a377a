"""Kafka in the middle, against a real broker."""
