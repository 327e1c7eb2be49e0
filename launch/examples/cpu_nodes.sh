#!/bin/bash
# dmltrain: 8 ranks on 2 nodes, d=2 p=2 t=2. Written by `dmltrain submit`; for sbatch.
#SBATCH --job-name=dmltrain
#SBATCH --partition=cpu
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=2:00:00
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

export OMPI_MCA_orte_execute_quiet=1  # else mpirun adds ten lines of its own to an error
export OMPI_MCA_pml=ob1  # plain sockets between nodes, shared memory inside
export OMPI_MCA_btl=^openib,ofi  # nothing to look for but sockets
export OMPI_MCA_oob_tcp_if_include=eth0  # Open MPI's daemons find each other here
export PRTE_MCA_prte_if_include=eth0  # the same for Open MPI 5
export OMPI_MCA_btl_tcp_if_include=eth0  # and so do ranks that talk by TCP

# Ranks follow each other inside a node, so that the last axis of --order stays there.
# Each rank is bound to 8 cores of its own.
launch=(mpirun -np 8 --map-by ppr:4:node:PE=8 --rank-by slot --bind-to core)

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
  --d 2 --p 2 --t 2 --threads 8 --checkpoint-every 500 --run "$run" --resume auto &
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
