"""What pyinfra carries out for `fleet upgrade --os`: the hosts' own packages, nothing else."""

from fleet.converge import upgrade

upgrade()
