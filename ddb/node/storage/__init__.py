"""The node's disk: the store's port, RocksDB, group commit, durable mark, room and health."""
