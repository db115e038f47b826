"""The Windows side of the WSL stand-in: programs that record what they are asked, and answer.

Installed to /opt/standin/lib/windows; standard library only.
"""
