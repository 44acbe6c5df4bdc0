"""Placement: which nodes keep which key."""
