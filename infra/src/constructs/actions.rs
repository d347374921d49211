//! Lists of actions that several policies allow together.

/// What decides what a role may: IAM can ask for a boundary on the role. (It also can for `iam:AttachRolePolicy` and
/// `iam:DetachRolePolicy`, which nothing here needs.)
pub(crate) const CHANGE_ROLES: [&str; 4] =
    ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"];

/// What else is done with roles that have policies of their own; IAM knows no condition on a boundary for these.
pub(crate) const KEEP_ROLES: [&str; 9] = [
    "iam:DeleteRole",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iam:TagRole",
    "iam:UntagRole",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
];

/// Looking at the policy that is the boundary.
pub(crate) const READ_BOUNDARY: [&str; 4] =
    ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListEntitiesForPolicy", "iam:ListPolicyVersions"];

/// Having a service deliver its log to CloudWatch; none of them knows resources.
pub(crate) const DELIVER_LOGS: [&str; 8] = [
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
];
