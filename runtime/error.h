// Errors of all rooms. A message is one sentence that names the subject, what was expected and
// found (or the limit), and where it helps, the way out; it is shown to the user as it stands.
#pragma once

#include <stdexcept>
#include <string>

namespace vktrain {

// Something that the input, the device or the system made impossible. The program exits with 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The caller asked for something that cannot be asked (unknown option, key, name). Exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

// The device or its driver failed (lost, out of memory, refused a pipeline).
class DeviceError : public Error {
 public:
  using Error::Error;
};

// The device gave up: nothing that it is asked from now on will work, so that there is nothing to
// fall back to on it.
class DeviceLostError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

}  // namespace vktrain
