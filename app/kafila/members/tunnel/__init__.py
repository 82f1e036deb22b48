"""One connection that a member's agent has opened, and many streams over it: how the control plane reaches a member that nobody can
call (``docs/adr/0019``).

Each stream is a connection to the member's API server, dialled by the agent. TLS goes from the control plane to that server: the
agent sees nothing but bytes, and gets nothing that it did not have.
"""
