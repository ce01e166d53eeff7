"""Serving: the processes of a gateway, their sockets, their signals, and an orderly end.

One worker: one process relays and keeps. Several: the parent keeps the store and answers the control
plane, and each worker relays, speaking to it over a Unix socket; a worker that dies is started again.
SIGTERM stops taking requests, lets open streams finish within the drain time, and writes what waits. So does
SIGINT, and a second one waits for nobody: what is open is cut, and recorded so.
"""
