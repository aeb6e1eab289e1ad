"""Simulated devices on a lake: labelled, seeded, over MQTT like real ones. They know nothing of what looks for them."""

from simulators.places import NoLake
from simulators.publish import Progress, WrongArgument, simulate
from simulators.scenarios import UnknownScenario

__all__ = ["NoLake", "Progress", "UnknownScenario", "WrongArgument", "simulate"]
