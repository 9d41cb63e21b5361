"""Bytes to observations: link layers, IP, VRRP, ARP, ND frame by frame, and TCP control segments as columns.

Two doors: ``frames.FrameDecoder`` for the rare road, ``tcp.select`` for the wide one, and beside it ``few`` for a handful. Pure:
no sockets, files, clock or randomness here, and no judgement of what a message means for a virtual router; that is the engine's.
"""
