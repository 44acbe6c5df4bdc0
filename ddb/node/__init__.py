"""The storage node: replica, coordinator, hints and handoff over an embedded RocksDB."""
