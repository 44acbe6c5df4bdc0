"""What clients see: users, their schema, entity tags, paging, errors, responses."""
