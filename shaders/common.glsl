// What every shader shares: the index of a workgroup and of an invocation when a one-dimensional
// range is folded over x and y, and the replica.

uint group_index() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

uint item_index() { return group_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x; }

uint replica() { return gl_WorkGroupID.z; }
