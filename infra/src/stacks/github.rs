//! The roles by which GitHub's workflows come into an account, without keys: one that deploys, one that reads for pull
//! requests, and the one by which CloudFormation makes what the stacks hold. A person deploys this stack, after `foundation`: no
//! role in it can change it.

mod cloudformation;

use super::{Foundation, boundary, model_build, names::template};
use crate::{
    aws::{IdentityProvider, Role},
    constructs::pass_role,
    core::{App, Condition, Expr, Handle, Parameter, PolicyDocument, Stack, Statement, Test, object},
    deploy::INSTALLATION,
};

/// Who signs the tokens of workflows.
const ISSUER: &str = "token.actions.githubusercontent.com";
/// Whom the tokens are for.
const AUDIENCE: &str = "sts.amazonaws.com";

/// Adds the stack.
pub(super) fn stack(app: &mut App, foundation: &Foundation) {
    let stack =
        app.stack(crate::deploy::GITHUB, "Kidu: the roles of GitHub's workflows, and the role of CloudFormation");
    stack.installation();
    model_build::project(&stack);
    let second = parameters(&stack);
    let provider = provider(&stack);
    let service = cloudformation::role(&stack, foundation);
    let deploy = deploy_role(&stack, foundation, &provider, &second, &service);
    let read = read_role(&stack, &provider);
    stack.output("DeployRoleArn", "Variable AWS_DEPLOY_ROLE_ARN of the environment", deploy.arn());
    stack.output("ReadRoleArn", "Variable AWS_READ_ROLE_ARN of the repository", read.arn());
    stack.output("CloudFormationRoleArn", "Variable AWS_CLOUDFORMATION_ROLE_ARN of the environment", service.arn());
}

/// Which workflows; gives the condition under which there is a second environment.
fn parameters(stack: &Stack) -> Condition {
    let text = |help: &str| Parameter::text(help).in_group("GitHub");
    // Without a default: whoever is named here may deploy.
    stack.parameter(
        "Repository",
        text("The repository whose workflows may come in, as OWNER/NAME")
            .pattern("^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$", "OWNER/NAME"),
    );
    let name = "letters, digits, dots, hyphens and underscores";
    stack.parameter(
        "Environment",
        text("The environment whose workflows may deploy; its protection rules say who has to agree")
            .default("aws")
            .pattern("^[A-Za-z0-9._-]{1,100}$", name),
    );
    let second = stack.parameter(
        "SecondEnvironment",
        text("Another such environment; empty: none").default("").pattern("^[A-Za-z0-9._-]{0,100}$", name),
    );
    stack.condition("HasSecondEnvironment", Test::given(&second))
}

/// The provider's ARN: an account has one for all stacks and regions, so one that is there is taken.
fn provider(stack: &Stack) -> Expr {
    let given = stack.parameter(
        "ProviderArn",
        Parameter::text(
            "ARN of the account's provider for GitHub's tokens; empty: it is made here, and stays when the stack goes",
        )
        .default("")
        .pattern(
            "^$|^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$",
            "the ARN of the provider of token.actions.githubusercontent.com",
        )
        .in_group("GitHub"),
    );
    let missing = stack.condition("MakesProvider", Test::is(&given, ""));
    let provider = IdentityProvider::new().url(format!("https://{ISSUER}")).client_id_list([AUDIENCE]);
    // Other roles of the account may come to trust it.
    let provider = stack.add("Provider", provider).only_if(&missing).retained();
    missing.choose(provider.arn(), &given)
}

/// The trust of a role in workflows with one of these subjects: exactly these, there is no pattern.
fn trust(provider: &Expr, subjects: Expr) -> PolicyDocument {
    let statement = Statement::allow("Assume", ["sts:AssumeRoleWithWebIdentity"])
        .to(object! { "Federated" => provider })
        .when("StringEquals", &format!("{ISSUER}:aud"), AUDIENCE)
        .when("StringEquals", &format!("{ISSUER}:sub"), subjects);
    PolicyDocument::new([statement])
}

fn role(
    stack: &Stack,
    id: &str,
    name: &str,
    description: &str,
    document: PolicyDocument,
    rights: Vec<Statement>,
) -> Handle<Role> {
    let role = boundary::bounds()
        .hold(Role::new(), Some(Expr::sub(template::role(name))))
        .description(description)
        .assume_role_policy_document(document)
        .policies([object! { "PolicyName" => "permissions", "PolicyDocument" => PolicyDocument::new(rights) }]);
    stack.add(id, role)
}

fn stack_arn(name: &str) -> Expr {
    super::manage::arn("cloudformation", &format!("stack/{name}/*"))
}

/// The stacks of an installation. This one is not among them.
fn installation() -> Vec<Expr> {
    INSTALLATION.iter().map(|name| stack_arn(&format!("${{Foundation}}-{name}"))).collect()
}

/// The role of a workflow that deploys: change sets of our stacks, made by CloudFormation's own role alone.
fn deploy_role(
    stack: &Stack,
    foundation: &Foundation,
    provider: &Expr,
    second: &Condition,
    service: &Handle<Role>,
) -> Handle<Role> {
    let first = Expr::sub("repo:${Repository}:environment:${Environment}");
    let both = [first.clone(), Expr::sub("repo:${Repository}:environment:${SecondEnvironment}")];
    let subjects = second.choose(both, [first]);
    let templates = Expr::sub_with(
        "arn:${AWS::Partition}:s3:::${bucket}/templates/*",
        [("bucket", Expr::from(&foundation.artifacts_bucket))],
    );
    let rights = vec![
        Statement::allow("Change", ["cloudformation:CreateChangeSet"]).on(installation()).when(
            "StringEquals",
            "cloudformation:RoleArn",
            service.arn(),
        ),
        Statement::allow(
            "Stacks",
            [
                "cloudformation:DeleteChangeSet",
                // A plan's empty stack, and what never was made whole. Buckets, repositories and the key stay in any case.
                "cloudformation:DeleteStack",
                "cloudformation:DescribeChangeSet",
                "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStacks",
                "cloudformation:ExecuteChangeSet",
                "cloudformation:GetTemplate",
            ],
        )
        .on(installation()),
        pass_role("HandOn", vec![service.arn()], "cloudformation.amazonaws.com"),
        // CloudFormation reads large templates by the rights of who asks.
        Statement::allow("Templates", ["s3:GetObject", "s3:PutObject"]).on([templates]),
        Statement::allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"]).on([&foundation.key_arn]),
    ];
    let description = "Workflows of GitHub deploy with it, by change sets";
    role(stack, "DeployRole", "github-deploy", description, trust(provider, subjects), rights)
}

/// The role of a pull request, which compares.
fn read_role(stack: &Stack, provider: &Expr) -> Handle<Role> {
    let subject = Expr::sub("repo:${Repository}:pull_request");
    let stages = ["staging", "production"].map(|stage| stack_arn(&format!("${{SageMakerProjectName}}-{stage}")));
    let mut stacks = installation();
    stacks.push(stack_arn("${Foundation}-github"));
    stacks.extend(stages);
    let rights =
        vec![Statement::allow("Compare", ["cloudformation:DescribeStacks", "cloudformation:GetTemplate"]).on(stacks)];
    let description = "Workflows of GitHub's pull requests compare with it";
    role(stack, "ReadRole", "github-read", description, trust(provider, subject), rights)
}
