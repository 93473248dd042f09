// What every shader shares: the index of a workgroup and of an invocation when a one-dimensional
// range is folded over x and y, and the replica. The size of the workgroup is specialization constant
// 0; it must be declared before its first use, or glslang silently takes 1.
layout(local_size_x_id = 0) in;

uint group_index() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

uint item_index() { return group_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x; }

uint replica() { return gl_WorkGroupID.z; }
