//! Keys and roles.

use crate::core::resources;

resources! {
    /// A key.
    Key = "AWS::KMS::Key" stateful {
        description: "Description",
        enable_key_rotation: "EnableKeyRotation",
        key_policy: "KeyPolicy",
        pending_window_in_days: "PendingWindowInDays",
        tags: "Tags",
    } [arn: "Arn", key_id: "KeyId"]

    /// A key's name.
    KeyAlias = "AWS::KMS::Alias" {
        alias_name: "AliasName" replace,
        target_key_id: "TargetKeyId",
    }

    /// A role. Its permissions stand in `Policies`, so that they are there before anything uses it.
    Role = "AWS::IAM::Role" {
        role_name: "RoleName" replace,
        description: "Description",
        path: "Path" replace,
        assume_role_policy_document: "AssumeRolePolicyDocument",
        managed_policy_arns: "ManagedPolicyArns",
        max_session_duration: "MaxSessionDuration",
        permissions_boundary: "PermissionsBoundary",
        policies: "Policies",
        tags: "Tags",
    } [arn: "Arn", role_id: "RoleId"]

    /// Who signs the tokens of identities elsewhere. An account has one for each address.
    IdentityProvider = "AWS::IAM::OIDCProvider" {
        url: "Url" replace,
        client_id_list: "ClientIdList",
        thumbprint_list: "ThumbprintList",
        tags: "Tags",
    } [arn: "Arn"]

    /// A policy that counts for itself: those inside a role may not exceed a size together.
    ManagedPolicy = "AWS::IAM::ManagedPolicy" {
        managed_policy_name: "ManagedPolicyName" replace,
        description: "Description" replace,
        path: "Path" replace,
        policy_document: "PolicyDocument",
        roles: "Roles",
    } [policy_arn: "PolicyArn"]

    /// A policy of roles that stand elsewhere.
    Policy = "AWS::IAM::Policy" {
        policy_name: "PolicyName",
        policy_document: "PolicyDocument",
        roles: "Roles",
    }
}
