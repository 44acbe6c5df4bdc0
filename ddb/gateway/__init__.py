"""The stateless HTTP gateway."""
