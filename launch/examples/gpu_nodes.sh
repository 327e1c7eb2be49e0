#!/bin/bash
# dmltrain: 128 ranks on 16 nodes with 8 GPUs each, d=8 p=2 t=8. Written by `dmltrain submit`; for sbatch.
#SBATCH --job-name=dmltrain
#SBATCH --partition=gpu
#SBATCH --account=physics
#SBATCH --nodes=16
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --time=24:00:00
#SBATCH --exclusive
#SBATCH --mem=0
# A job that starts again goes on in the same log.
#SBATCH --output=dmltrain-%j.log
#SBATCH --open-mode=append
# After preemption or the loss of a node Slurm starts it again.
#SBATCH --requeue
# So long before the time limit this script gets SIGUSR1, and the training saves.
#SBATCH --signal=B:USR1@120

module purge
module load cuda/12.4 openmpi/4.1

set -u
job=$SLURM_JOB_ID
log=dmltrain-$job.log
# Shared by every start of this job: each goes on from the newest checkpoint in it.
run=runs/gpt2

export NCCL_DEBUG=WARN  # NCCL says in the log what it could not use
export OMPI_MCA_pml=ucx  # RDMA of Mellanox adapters goes through UCX; it fails here rather than be slow
export OMPI_MCA_btl=^openib  # the driver before UCX, which Open MPI 4 would try and warn of
export NCCL_IB_TIMEOUT=22  # 17 s before a link counts as lost: large fabrics reroute in seconds
export OMPI_MCA_oob_tcp_if_include=ib0  # Open MPI's daemons find each other here
export PRTE_MCA_prte_if_include=ib0  # the same for Open MPI 5
export OMPI_MCA_btl_tcp_if_include=ib0  # and so do ranks that talk by TCP
export NCCL_SOCKET_IFNAME=ib0  # where NCCL's ranks find each other

# Ranks follow each other inside a node, so that the last axis of --order stays there.
# One rank per GPU; all see all GPUs of their node, which NCCL needs to join them.
# Each rank is bound to 12 cores of its own.
launch=(srun --mpi=pmix --distribution=block --cpus-per-task=12 --cpu-bind=cores --kill-on-bad-exit=1)

# An earlier job of the chain, or an earlier start, may have brought the training to its end.
if [[ -e $run/finished ]]; then
  echo "dmltrain job $job: the training in $run is done"
  exit 0
fi
log_begin=$(stat -c %s "$log" 2>/dev/null || echo 0)

# A signal to this script becomes SIGUSR1 for the launcher, which hands it to all ranks: they end
# their step, save, and exit with code 75.
training=
stopped_by=
interrupted=
# shellcheck disable=SC2317  # the traps call it
stop() {
  stopped_by=$1
  interrupted=yes
  [[ -z $training ]] || kill -USR1 "$training" 2>/dev/null
}
trap 'stop USR1' USR1
trap 'stop USR2' USR2
trap 'stop TERM' TERM

"${launch[@]}" dmltrain \
  --d 8 --p 2 --t 8 --model gpt2-124m --data text:corpus.txt --batch 512 --epochs 1 \
  --microbatches 8 --threads 12 --device cuda --checkpoint-every 500 --run "$run" --resume auto &
training=$!

# `wait` also ends when a signal comes: until it is the training that ended.
while :; do
  interrupted=
  wait "$training"
  status=$?
  [[ -n $interrupted ]] || break
done

if [[ $status -eq 0 ]]; then
  touch "$run/finished"
  echo "dmltrain job $job: done, in $run"
  exit 0
fi

# 75: saved. Above 128: the signal came before there was anything to save.
if [[ $status -eq 75 || (-n $stopped_by && $status -gt 128) ]]; then
  echo "dmltrain job $job: stopped by ${stopped_by:-a signal}, goes on from $run"
  case $stopped_by in
    USR2) scancel "$job" ;;  # `dmltrain submit cancel`
    USR1) scontrol requeue "$job" && exit 0 ;;  # the time limit
  esac
  exit 75  # after SIGTERM Slurm knows whether to start it again
fi

reason=$(tail -c +"$((log_begin + 1))" "$log" | grep -a -m 1 'dmltrain: error: ')
# A rank that is killed cannot say so.
[[ -n $reason || $status -le 128 ]] || reason="signal $((status - 128)); 9 is often too little memory"
echo "dmltrain job $job: failed with exit code $status: ${reason#*dmltrain: error: }"
exit "$status"
