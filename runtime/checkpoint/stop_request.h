// A wish from outside that a training end early, as schedulers of clusters utter it by a signal.
#pragma once

namespace dml {

/// Asks the trainings of this process to end after their current step, and to save. Safe in a signal handler; a second
/// request changes nothing.
void request_stop(int signal);
/// The signal of the request; 0 where there was none.
int stop_requested();

}  // namespace dml
