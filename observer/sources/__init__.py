"""All input: capture sockets, netlink, capture files; and the merge that puts them in order of time."""
