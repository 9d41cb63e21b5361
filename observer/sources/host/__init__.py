"""Looks at the node itself, beside the wire: keepalived, the proxy, the kernel's sockets and rules. All of it is optional.

``loop`` asks each look in turn, in one thread; every other file is one look. A look is bounded in time and in what it reads,
never connects to a virtual address, and says in one line why it cannot be had: that is a blind spot, and nothing else suffers.
"""
