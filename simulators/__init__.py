"""Simulated devices on a lake: labelled, seeded, over MQTT like real ones. They know nothing of what looks for them."""

from simulators.publish import Progress, WrongArgument, simulate

__all__ = ["Progress", "WrongArgument", "simulate"]
