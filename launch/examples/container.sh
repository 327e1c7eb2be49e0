#!/bin/bash
# dmltrain: 8 ranks on 2 nodes with 4 GPUs each, d=2 p=1 t=4. Written by `dmltrain submit`; for sbatch.
#SBATCH --job-name=dmltrain
#SBATCH --account=physics
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --time=8:00:00
# A job that starts again goes on in the same log.
#SBATCH --output=dmltrain-%j.log
#SBATCH --open-mode=append
# After preemption or the loss of a node Slurm starts it again.
#SBATCH --requeue
# So long before the time limit this script gets SIGUSR1, and the training saves.
#SBATCH --signal=B:USR1@120

set -u
job=$SLURM_JOB_ID
log=dmltrain-$job.log
# Shared by every start of this job: each goes on from the newest checkpoint in it.
run=runs/dmltrain-$job

export NCCL_DEBUG=WARN  # NCCL says in the log what it could not use
export OMPI_MCA_pml=cm  # messages are matched by libfabric
export OMPI_MCA_mtl=ofi  # libfabric is the only way to Slingshot
export FI_PROVIDER=cxi  # libfabric must not fall back to TCP
export NCCL_CROSS_NIC=1  # a ring may change adapters from node to node: all are on one network
export NCCL_NET_GDR_LEVEL=PHB  # an adapter reads the GPUs' memory behind the same host bridge
export FI_MR_CACHE_MONITOR=userfaultfd  # the default monitor can deadlock with CUDA's allocations
export FI_CXI_DISABLE_HOST_REGISTER=1  # registering host memory with CUDA can deadlock with NCCL
export OMPI_MCA_oob_tcp_if_include=hsn  # Open MPI's daemons find each other here
export PRTE_MCA_prte_if_include=hsn  # the same for Open MPI 5
export OMPI_MCA_btl_tcp_if_include=hsn  # and so do ranks that talk by TCP
export NCCL_SOCKET_IFNAME=hsn  # where NCCL's ranks find each other

# Ranks follow each other inside a node, so that the last axis of --order stays there.
# One rank per GPU; all see all GPUs of their node, which NCCL needs to join them.
# Ranks are not bound: they share the node's cores.
launch=(srun --mpi=pmix --distribution=block --cpu-bind=none --kill-on-bad-exit=1)
launch+=(apptainer exec --nv --bind /scratch --pwd "$PWD" /images/dmltrain.sif)

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
  --d 2 --p 1 --t 4 --model gpt2-124m --data text:/scratch/corpus.txt --epochs 1 --device cuda \
  --checkpoint-every 500 --run "$run" --resume auto &
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
