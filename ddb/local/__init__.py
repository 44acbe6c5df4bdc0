"""A local cluster: the processes that `ddb up` starts, and the commands that act on them."""
