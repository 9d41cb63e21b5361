"""Observations to flaps: who is Active, who holds the addresses, what was reset, what was listened to. Pure, and no clock."""
