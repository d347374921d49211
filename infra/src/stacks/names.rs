//! Names that stand in more than one stack or document, each made in one place.

/// Templates of names: holes are parameters and pseudo parameters of every stack that uses them.
pub(crate) mod template {
    /// A bucket of the installation; names of buckets are shared by all accounts, so the account is in them.
    pub(crate) fn bucket(kind: &str) -> String {
        format!("${{Foundation}}-{kind}-${{AWS::AccountId}}-${{AWS::Region}}")
    }

    /// A role of the installation. Roles are shared by all regions of an account.
    pub(crate) fn role(job: &str) -> String {
        format!("${{Foundation}}-{job}-${{AWS::Region}}")
    }

    /// The policy that is the boundary of the installation's roles.
    pub(crate) fn boundary(installation: &str) -> String {
        format!("${{{installation}}}-boundary-${{AWS::Region}}")
    }

    /// That policy's ARN.
    pub(crate) fn boundary_arn(installation: &str) -> String {
        format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:policy/{}", boundary(installation))
    }

    /// The address of an image repository of the installation, without a tag.
    pub(crate) fn repository(kind: &str) -> String {
        format!("${{AWS::AccountId}}.dkr.ecr.${{AWS::Region}}.${{AWS::URLSuffix}}/${{Foundation}}/{kind}")
    }

    /// The ARNs of the roles that CloudFormation names, below the installation's path.
    pub(crate) fn role_below(rest: &str) -> String {
        format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/${{Foundation}}/{rest}*")
    }

    /// The alias of the installation's key.
    pub(crate) const KEY_ALIAS: &str = "alias/${Foundation}";

    /// A role's ARN.
    pub(crate) fn role_arn(job: &str) -> String {
        format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{}", role(job))
    }
}

/// The folder of the artifacts bucket that a project's jobs write below.
pub(crate) const PROJECT_PREFIX: &str = "${SageMakerProjectName}";

/// The roles of jobs, by step.
pub(crate) const JOB_ROLES: [(&str, &str); 3] =
    [("preprocess", "preprocess"), ("train", "training"), ("evaluate", "evaluation")];

/// Fills a template of a name.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_string(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}
