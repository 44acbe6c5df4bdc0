"""The HTTP interface: users, their schema, entity tags, paging, errors, responses."""
