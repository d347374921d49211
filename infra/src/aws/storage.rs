//! Buckets and image repositories.

use crate::core::resources;

resources! {
    /// A bucket.
    Bucket = "AWS::S3::Bucket" stateful {
        bucket_name: "BucketName" replace,
        bucket_encryption: "BucketEncryption",
        lifecycle_configuration: "LifecycleConfiguration",
        logging_configuration: "LoggingConfiguration",
        notification_configuration: "NotificationConfiguration",
        ownership_controls: "OwnershipControls",
        public_access_block_configuration: "PublicAccessBlockConfiguration",
        versioning_configuration: "VersioningConfiguration",
        tags: "Tags",
    } [arn: "Arn", domain_name: "DomainName", regional_domain_name: "RegionalDomainName"]

    /// A bucket's policy.
    BucketPolicy = "AWS::S3::BucketPolicy" {
        bucket: "Bucket" replace,
        policy_document: "PolicyDocument",
    }

    /// A repository of container images.
    Repository = "AWS::ECR::Repository" stateful {
        repository_name: "RepositoryName" replace,
        encryption_configuration: "EncryptionConfiguration" replace,
        image_scanning_configuration: "ImageScanningConfiguration",
        image_tag_mutability: "ImageTagMutability",
        lifecycle_policy: "LifecyclePolicy",
        repository_policy_text: "RepositoryPolicyText",
        tags: "Tags",
    } [arn: "Arn", repository_uri: "RepositoryUri"]
}
