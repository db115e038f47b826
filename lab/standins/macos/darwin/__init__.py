"""The Mac's commands, as far as a provisioning tool over SSH can tell.

Installed to /opt/standin/lib/darwin; standard library only, since it runs on the image's python3.
Every tool takes its arguments and the root of the file system, so that tests need no real host.
"""
