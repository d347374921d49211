//! The project as a product of the service catalog, which SageMaker Studio offers as a project template.

use super::{Foundation, boundary, manage, names::template};
use crate::{
    aws::{LaunchRole, Portfolio, PortfolioPrincipal, PortfolioProduct, Product, Role},
    core::{App, Expr, Handle, Parameter, PolicyDocument, Stack, Statement, Test, object},
};

/// Adds the stack.
pub(super) fn stack(app: &mut App, foundation: &Foundation) {
    let stack = app.stack("catalog", "Kidu: the project as a template in SageMaker Studio");
    stack.installation();
    let text = |help: &str| Parameter::text(help).in_group("Catalog");
    stack.parameter(
        "TemplatesPrefix",
        text("Folder of the artifacts bucket that holds the synthesised templates")
            .default("templates")
            .pattern("^[A-Za-z0-9._/-]{1,200}$", "a folder, without slashes at its ends"),
    );
    stack.parameter(
        "ProductVersion",
        text("Name of the product's version; another one beside another TemplatesPrefix")
            .default(concat!("v", env!("CARGO_PKG_VERSION")))
            .pattern("^[A-Za-z0-9._-]{1,100}$", "a version"),
    );
    let studio = stack.parameter(
        "StudioRoleArn",
        text("Execution role of the Studio users who may set up projects; empty: nobody yet")
            .default("")
            .pattern("^$|^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", "the ARN of a role"),
    );
    let has_studio = stack.condition("HasStudioRole", Test::given(&studio));
    let portfolio = Portfolio::new()
        .display_name("Kidu")
        .provider_name("Kidu")
        .description("Image classifiers from annotation to production");
    let portfolio = stack.add("Portfolio", portfolio);
    let product = product(&stack, foundation);
    let offered = PortfolioProduct::new().portfolio_id(&portfolio).product_id(&product);
    let offered = stack.add("Offered", offered);
    let launch = launch_role(&stack, foundation);
    let constraint = LaunchRole::new()
        .portfolio_id(&portfolio)
        .product_id(&product)
        .role_arn(launch.arn())
        .description("Projects are set up by this role, not by the rights of whoever asks");
    // A constraint can be put only on a product that is in the portfolio already.
    stack.add("Launch", constraint).after(&offered);
    let principal = PortfolioPrincipal::new().portfolio_id(&portfolio).principal_arn(&studio).principal_type("IAM");
    stack.add("Users", principal).only_if(&has_studio);
    stack.output("PortfolioId", "The portfolio; allow it in the Studio domain's settings", &portfolio);
    stack.output("ProductId", "The product", &product);
}

fn product(stack: &Stack, foundation: &Foundation) -> Handle<Product> {
    let url = Expr::sub_with(
        "https://${bucket}.s3.${AWS::Region}.${AWS::URLSuffix}/${TemplatesPrefix}/project.template.json",
        [("bucket", Expr::from(&foundation.artifacts_bucket))],
    );
    let product = Product::new()
        .name(Expr::sub("${Foundation}-project"))
        .owner("Kidu")
        .description("Model build, model deploy and monitoring of an image classifier")
        .support_url("https://github.com/kidu-ml/kidu")
        .provisioning_artifact_parameters([object! {
            "Name" => Expr::sub("${ProductVersion}"),
            "Info" => object! { "LoadTemplateFromURL" => url },
        }])
        // Studio offers products with this tag as project templates.
        .tags([object! { "Key" => "sagemaker:studio-visibility", "Value" => "true" }]);
    stack.add("Product", product)
}

/// The role by which the service catalog sets a project up: what bears a project's name, and the passing of its roles.
fn launch_role(stack: &Stack, foundation: &Foundation) -> Handle<Role> {
    let templates = Expr::sub_with(
        "arn:${AWS::Partition}:s3:::${bucket}/${TemplatesPrefix}/*",
        [("bucket", Expr::from(&foundation.artifacts_bucket))],
    );
    let mut statements = vec![
        Statement::allow("Templates", ["s3:GetObject"]).on([templates]),
        // The service catalog's copies of templates lie in buckets of its own. They bear this tag.
        Statement::allow("Launch", ["s3:GetObject"]).on([Expr::sub("arn:${AWS::Partition}:s3:::*/*")]).when(
            "StringEquals",
            boundary::PROVISIONING_TAG,
            "true",
        ),
        Statement::allow(
            "Stacks",
            [
                "cloudformation:CreateStack",
                "cloudformation:DeleteStack",
                "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStacks",
                "cloudformation:GetTemplateSummary",
                "cloudformation:SetStackPolicy",
                "cloudformation:TagResource",
                "cloudformation:UpdateStack",
            ],
        )
        .on([manage::arn("cloudformation", "stack/SC-*")]),
        // Templates are looked at before there is a stack.
        Statement::allow("LookAtTemplates", ["cloudformation:ValidateTemplate"]).on_everything(),
    ];
    statements.extend(manage::project("SC-", None, foundation));
    let role = boundary::bounds()
        .hold(Role::new(), Some(Expr::sub(template::role("launch"))))
        .description("Sets projects up")
        .assume_role_policy_document(PolicyDocument::trust("servicecatalog.amazonaws.com", false))
        .policies([object! { "PolicyName" => "permissions", "PolicyDocument" => PolicyDocument::new(statements) }]);
    stack.add("LaunchRole", role)
}
