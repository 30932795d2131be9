"""The byte form of messages: bodies, frames, datagrams."""
