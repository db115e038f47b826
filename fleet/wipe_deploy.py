"""What pyinfra carries out for `fleet remove --wipe`: everything of ours leaves the host."""

from fleet.converge import wipe

wipe()
