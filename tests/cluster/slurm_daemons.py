"""A Slurm of two nodes on this machine: munged, slurmctld and two slurmd, with ports, keys and folders of their own."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "sinfo")
SBIN = "/usr/sbin"
CORES_PER_NODE = 4  # as Slurm counts them: the machine may have fewer
READY_WITHIN_S = 60

# Two nodes of one host name would take each other's shared memory for their own.
MPI = {"OMPI_MCA_btl": "self,tcp", "OMPI_MCA_btl_tcp_if_include": "lo"}

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# A requeued job is held back until its credential is forgotten.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=2,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=10
MpiDefault=pmix
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports[0]} CPUs={cores} RealMemory=2000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports[1]} CPUs={cores} RealMemory=2000
PartitionName=low Nodes=n1,n2 Default=YES PriorityTier=1 GraceTime=30 MaxTime=INFINITE
PartitionName=high Nodes=n1,n2 PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE
"""


def missing_programs():
    path = f"{os.environ['PATH']}:{SBIN}"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class SlurmDaemons:
    """Runs while the `with` block does; `settings` is what Slurm's commands need in their environment."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.processes = []
        self.settings = {"PATH": f"{os.environ['PATH']}:{SBIN}", "SLURM_CONF": str(self.folder / "slurm.conf"), **MPI}
        self.environment = {**os.environ, **self.settings}

    def __enter__(self):
        for name in ("state", "spool-n1", "spool-n2"):
            (self.folder / name).mkdir()
        host = socket.gethostname().split(".")[0]
        user = pwd.getpwuid(os.getuid()).pw_name
        ports = {"controller_port": free_port(), "node_ports": [free_port(), free_port()]}
        text = CONFIG.format(host=host, user=user, folder=self.folder, cores=CORES_PER_NODE, **ports)
        (self.folder / "slurm.conf").write_text(text)
        try:
            self.start_munge()
            self.start("slurmctld", "-D")
            for node in ("n1", "n2"):
                self.start("slurmd", "-D", "-N", node)
            self.wait_until_idle()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, *command):
        with open(self.folder / "daemons.log", "ab") as log:
            self.processes.append(
                subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            )

    def start_munge(self):
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = {"key-file": "key", "socket": "socket", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
        paths = [f"--{option}={self.folder}/munge.{suffix}" for option, suffix in files.items()]
        self.start("munged", "--foreground", "--force", *paths)
        end = time.monotonic() + READY_WITHIN_S
        while not (self.folder / "munge.socket").exists():
            assert time.monotonic() < end, self.logs()
            time.sleep(0.1)

    def wait_until_idle(self):
        end = time.monotonic() + READY_WITHIN_S
        while self.ask("sinfo", "-h", "-p", "low", "-t", "idle", "-o", "%D").strip() != "2":
            assert time.monotonic() < end, self.logs()
            time.sleep(0.5)

    def ask(self, *command):
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60).stdout

    def logs(self):
        return "\n".join(path.read_text(errors="replace")[-600:] for path in sorted(self.folder.glob("*.log")))

    def cancel_all(self):
        self.ask("scancel", "--user", pwd.getpwuid(os.getuid()).pw_name)
        end = time.monotonic() + READY_WITHIN_S
        while self.ask("squeue", "-h").strip() and time.monotonic() < end:
            time.sleep(0.3)

    def stop(self):
        self.cancel_all()
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
